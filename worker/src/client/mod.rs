//! What goes over the wire to the target: requests encoded once, responses framed without a copy.

pub mod http1;
pub mod request;
pub mod resolve;
