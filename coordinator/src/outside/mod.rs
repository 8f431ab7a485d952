//! The world beside the load itself: what is fetched, waited for, asked and told over the network, and the tables that
//! requests draw from. What of it a test wants, and what its answers mean for a verdict, is not known here.

pub mod feeds;
pub mod fetch;
pub mod gotemplate;
pub mod jq;
pub mod notify;
pub mod provider;
pub mod ready;

#[cfg(test)]
pub(crate) mod server;
