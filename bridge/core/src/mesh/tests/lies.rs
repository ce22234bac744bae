//! A node with a valid certificate that lies: what it says of others is not believed, and what it says of itself is bounded.

mod floods;
mod room;
mod rows;
