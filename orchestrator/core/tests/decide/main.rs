//! What `decide` decides, as text: given a definition, when these inputs come, then these facts follow.

mod cancel;
mod check;
mod children;
mod compensation;
mod deadline;
mod doubt;
mod forward;
mod going_back;
mod limits;
mod mismatch;
mod operate;
mod parallel;
mod preview;
mod telling;
mod view;
mod waits;
