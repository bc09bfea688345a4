//! What `decide` decides, as text: given a definition, when these inputs come, then these facts follow.

mod cancel;
mod check;
mod compensation;
mod deadline;
mod doubt;
mod forward;
mod mismatch;
mod operate;
mod preview;
mod view;
