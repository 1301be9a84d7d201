//! tmp
use jiff::Timestamp;
#[derive(Clone, Copy, Debug)]
pub struct OpenEpisode { pub id: i64, pub started_at: Timestamp }
#[derive(Clone, Copy, Debug, Default)]
pub struct Head { pub open: Option<OpenEpisode>, pub last_end: Option<Timestamp> }
pub enum Action { Open{started_at: Timestamp}, Touch{id:i64, started_at: Timestamp}, Close{id:i64, started_at: Timestamp, ended_at: Timestamp}, InsertClosedIfNoOverlap{started_at: Timestamp, ended_at: Timestamp}, LateTwin, Ignore }
pub fn decide(_head: &Head, _firing: bool, _s: Timestamp, _e: Option<Timestamp>) -> Action { Action::Ignore }
