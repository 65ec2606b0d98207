//! The quorum by itself, and quorums of several in a world that loses, delays and reorders.

mod disks;
mod membership;
mod one_node;
mod random;
mod world;
