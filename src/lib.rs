pub mod address;
pub mod catalogue;
pub mod config;
pub mod error;
pub mod leash;
pub mod page;
pub mod password;
pub mod store;
