//! What `decide` decides, as text: given a definition, when these inputs come, then these facts follow.

mod cancel;
mod check;
mod children;
mod compensation;
mod deadline;
mod doubt;
mod for_each;
mod for_each_behind;
mod forward;
mod given;
mod going_back;
mod kin;
mod limits;
mod mismatch;
mod operate;
mod parallel;
mod preview;
mod said;
mod sleeps;
mod telling;
mod thousands;
mod view;
mod waits;
