//! What goes over the wire to the target: requests encoded once, responses framed without a copy.

pub mod check;
pub mod feed;
pub mod grpc;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod kept;
pub mod prepared;
pub mod reach;
pub mod request;
pub mod resolve;
pub mod secure;
pub mod template;
