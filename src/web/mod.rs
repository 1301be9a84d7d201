//! Pages for people: a file a noun, and what every page shares: the frame around it, the look that its browser
//! wants, and how values are shown.

pub mod account;
pub mod alerts;
pub mod assets;
pub mod audit;
mod chart;
pub mod dashboard;
pub mod docs;
mod fault;
mod files;
mod frame;
mod heartbeat;
pub mod join;
pub mod kinds;
pub mod links;
pub mod login;
mod look;
pub mod looking;
pub mod members;
pub mod owners;
mod paths;
pub mod publications;
pub mod quarantine;
pub mod second_factors;
pub mod servers;
pub mod sessions;
pub mod shield;
pub mod sso;
pub mod sudo;
pub mod theme;
pub mod thresholds;
pub mod tokens;
pub mod users;
mod view;

use self::frame::take_flash;
pub use self::frame::{Flash, Frame, FrameUser, go};
pub use self::look::{Look, MOST_FIRING};
pub use self::paths::{came_from, is_secret, local, redacted};
pub use self::view::*;
