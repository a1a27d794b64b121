//! Static programs of this workspace, compiled in the build root.
pub mod lockfile;
pub mod workspace;
