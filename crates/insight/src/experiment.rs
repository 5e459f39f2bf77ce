//! Experiments: what holding people out tells, how often one may look, how many it takes, and which variant or hour to
//! try next. Never assigns anybody by itself: seeds come from the caller, and the same seed gives the same answer.

mod boundary;
pub(crate) mod draw;
mod hours;
mod lift;
mod power;
mod thompson;

pub use boundary::{Anytime, Boundary, Looks};
pub use hours::{BestTime, HOURS, Preference, WeekCounts, best_time};
pub use lift::{Arms, ENOUGH_BUYERS, mean_lift, overall, overall_mean, share_lift};
pub use power::{Needs, customers_for_mean, customers_for_share};
pub use thompson::{ArmShare, EventArm, ValueArm, pick_event, pick_value, shares_by_event, shares_by_value};
