//! gRPC calls as people write them: where a schema comes from, which method is meant, data made messages. It knows no
//! test file, no load and no result.

mod check;
mod encode;
mod method;
mod reflection;
mod schema;
mod server;
mod values;

pub use self::encode::messages;
pub use self::method::{kind, method, path, service};
pub use self::reflection::reflected_pool;
pub use self::schema::{Schema, local_pool};
pub use self::server::{Server, healthy};

#[cfg(test)]
mod tests;
