//! The 44-byte header of a virtio vsock packet.
//!
//! It holds no payload and knows no connection. Every field is little-endian:
//!
//! ```text
//!  0         8         16         20         24    28     30   32      36          40        44
//!  +---------+---------+----------+----------+-----+------+----+-------+-----------+---------+
//!  | src_cid | dst_cid | src_port | dst_port | len | type | op | flags | buf_alloc | fwd_cnt |
//!  +---------+---------+----------+----------+-----+------+----+-------+-----------+---------+
//! ```
//!
//! Source: Virtual I/O Device (VIRTIO) 1.2, section 5.10.6.

/// Length of an encoded [`Header`], in bytes.
pub const HEADER_LEN: usize = 44;

/// Longest payload that this device takes or gives in one packet, in bytes (64 KiB, what Linux sends at most).
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Packet type of a byte stream, the only type that Nitro Enclaves use.
pub const TYPE_STREAM: u16 = 1;

/// What a packet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// Open a connection.
    Request = 1,
    /// The connection is open.
    Response = 2,
    /// The connection does not exist, or no longer.
    Rst = 3,
    /// One or both directions end; see [`Shut`].
    Shutdown = 4,
    /// Bytes of the stream.
    Rw = 5,
    /// Tells `buf_alloc` and `fwd_cnt`.
    CreditUpdate = 6,
    /// Asks for a [`Op::CreditUpdate`].
    CreditRequest = 7,
}

impl Op {
    /// The operation with this number, or `None` for a number that the standard does not define.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Request),
            2 => Some(Self::Response),
            3 => Some(Self::Rst),
            4 => Some(Self::Shutdown),
            5 => Some(Self::Rw),
            6 => Some(Self::CreditUpdate),
            7 => Some(Self::CreditRequest),
            _ => None,
        }
    }
}

/// The directions that a side gives up, as the flags of [`Op::Shutdown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shut {
    /// Flag bit 0: the sender of the packet will receive no more.
    pub receive: bool,
    /// Flag bit 1: the sender of the packet will send no more.
    pub send: bool,
}

impl Shut {
    /// Neither direction.
    pub const NONE: Self = Self {
        receive: false,
        send: false,
    };
    /// Both directions.
    pub const BOTH: Self = Self {
        receive: true,
        send: true,
    };

    /// Reads the flags; bits that the standard does not define are ignored.
    #[must_use]
    pub const fn from_flags(flags: u32) -> Self {
        Self {
            receive: flags & 1 != 0,
            send: flags & 2 != 0,
        }
    }

    /// The flags on the wire.
    #[must_use]
    pub const fn flags(self) -> u32 {
        (self.receive as u32) | ((self.send as u32) << 1)
    }

    /// The directions that either value gives up.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            receive: self.receive || other.receive,
            send: self.send || other.send,
        }
    }
}

/// A packet header. Its fields are as the guest wrote them: nothing has been checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Context id of the sender.
    pub src_cid: u64,
    /// Context id of the receiver.
    pub dst_cid: u64,
    /// Port of the sender.
    pub src_port: u32,
    /// Port of the receiver.
    pub dst_port: u32,
    /// Length of the payload, in bytes.
    pub len: u32,
    /// [`TYPE_STREAM`], or another type.
    pub kind: u16,
    /// Number of an [`Op`], or anything.
    pub op: u16,
    /// Only for [`Op::Shutdown`]: see [`Shut`].
    pub flags: u32,
    /// Size of the sender's receive buffer, in bytes.
    pub buf_alloc: u32,
    /// Bytes that the sender has taken out of its receive buffer so far, modulo 2^32.
    pub fwd_cnt: u32,
}

impl Header {
    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let fields: [&[u8]; 10] = [
            &self.src_cid.to_le_bytes(),
            &self.dst_cid.to_le_bytes(),
            &self.src_port.to_le_bytes(),
            &self.dst_port.to_le_bytes(),
            &self.len.to_le_bytes(),
            &self.kind.to_le_bytes(),
            &self.op.to_le_bytes(),
            &self.flags.to_le_bytes(),
            &self.buf_alloc.to_le_bytes(),
            &self.fwd_cnt.to_le_bytes(),
        ];
        for (slot, byte) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *slot = *byte;
        }
        out
    }

    /// Reads a header; any 44 bytes are one.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let mut at = Fields(bytes);
        Self {
            src_cid: u64::from_le_bytes(at.take()),
            dst_cid: u64::from_le_bytes(at.take()),
            src_port: u32::from_le_bytes(at.take()),
            dst_port: u32::from_le_bytes(at.take()),
            len: u32::from_le_bytes(at.take()),
            kind: u16::from_le_bytes(at.take()),
            op: u16::from_le_bytes(at.take()),
            flags: u32::from_le_bytes(at.take()),
            buf_alloc: u32::from_le_bytes(at.take()),
            fwd_cnt: u32::from_le_bytes(at.take()),
        }
    }
}

/// The fields not yet read. The lengths in [`Header::decode`] sum to [`HEADER_LEN`], so it never runs dry.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        if let Some((head, rest)) = self.0.split_first_chunk::<N>() {
            out = *head;
            self.0 = rest;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        src_cid: 0x0102_0304_0506_0708,
        dst_cid: 3,
        src_port: 0x1112_1314,
        dst_port: 0x2122_2324,
        len: 0x3132_3334,
        kind: 0x4142,
        op: 0x5152,
        flags: 0x6162_6364,
        buf_alloc: 0x7172_7374,
        fwd_cnt: 0x8182_8384,
    };

    #[test]
    fn layout_is_the_standards() {
        let golden: [u8; HEADER_LEN] = [
            8, 7, 6, 5, 4, 3, 2, 1, // src_cid
            3, 0, 0, 0, 0, 0, 0, 0, // dst_cid
            0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21, // ports
            0x34, 0x33, 0x32, 0x31, // len
            0x42, 0x41, 0x52, 0x51, // type, op
            0x64, 0x63, 0x62, 0x61, // flags
            0x74, 0x73, 0x72, 0x71, 0x84, 0x83, 0x82, 0x81, // credit
        ];
        assert_eq!(HEADER.encode(), golden);
        assert_eq!(Header::decode(&golden), HEADER);
    }

    #[test]
    fn every_bit_belongs_to_one_field() {
        let golden = HEADER.encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut bytes = golden;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let header = Header::decode(&bytes);
            assert_ne!(header, HEADER, "bit {bit}");
            assert_eq!(header.encode(), bytes, "bit {bit}");
        }
    }

    #[test]
    fn op_codes_round_trip() {
        for code in 0..=u16::MAX {
            assert_eq!(Op::from_code(code).map_or(code, |op| op as u16), code);
        }
        assert_eq!(Op::from_code(0), None);
        assert_eq!(Op::from_code(8), None);
    }

    #[test]
    fn shutdown_flags_round_trip() {
        for flags in 0..4 {
            assert_eq!(Shut::from_flags(flags).flags(), flags);
        }
        assert_eq!(Shut::from_flags(0xFFFF_FFFC), Shut::NONE);
        assert_eq!(
            Shut {
                receive: true,
                send: false
            }
            .or(Shut {
                receive: false,
                send: true
            }),
            Shut::BOTH
        );
    }
}
