//! Counts of what a backend has seen. For tests, experiments and the last line of `simulator run`.

/// The counts, since the backend started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that were opened or tried, by either side.
    pub opened: u64,
    /// Connections that exist now.
    pub open: usize,
    /// Packets of the guest that were answered with an RST because nobody listens or no connection fits.
    pub refused: u64,
    /// Connections that the guest ended with an RST while they were open.
    pub guest_resets: u64,
    /// Packets dropped for a CID that is neither the guest's nor the parent's.
    pub wrong_cid: u64,
    /// Descriptor chains of the guest that held no packet.
    pub malformed: u64,
    /// Packets taken from the guest.
    pub from_guest: u64,
    /// Packets given to the guest.
    pub to_guest: u64,
    /// Payload taken from the guest, in bytes.
    pub bytes_from_guest: u64,
    /// Payload given to the guest, in bytes.
    pub bytes_to_guest: u64,
}
