//! The command line of QEMU's `nitro-enclave` machine, as a value. It starts nothing and looks at no file.
//!
//! Source: QEMU 10.0, `docs/system/i386/nitro-enclave.rst`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The EIF. QEMU measures it, so the machine's PCRs are those of these bytes.
    pub image: PathBuf,
    /// Socket of the vhost-user vsock device.
    pub vsock: PathBuf,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Number of processors.
    pub cpus: u32,
    /// The module id that the attestation documents carry; it becomes a part of an option, so anything goes.
    pub id: String,
}

impl Machine {
    /// QEMU's arguments, without the program. The guest's console is QEMU's standard output.
    ///
    /// Processors are emulated (TCG), one host thread each, with every feature that this QEMU knows.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let mut vsock = OsString::from("socket,id=vsock,path=");
        vsock.push(escape(self.vsock.as_os_str()));
        let mut machine = OsString::from("nitro-enclave,vsock=vsock,id=");
        machine.push(escape(OsStr::new(&self.id)));
        let pairs: [(&str, OsString); 11] = [
            ("-chardev", vsock),
            ("-M", machine),
            ("-kernel", self.image.clone().into()),
            ("-m", format!("{}M", self.memory_mib).into()),
            ("-smp", self.cpus.to_string().into()),
            ("-accel", "tcg,thread=multi".into()),
            ("-cpu", "max".into()),
            ("-display", "none".into()),
            ("-monitor", "none".into()),
            ("-chardev", "stdio,id=console,signal=off".into()),
            ("-serial", "chardev:console".into()),
        ];
        let mut arguments: Vec<_> = pairs
            .into_iter()
            .flat_map(|(name, value)| [name.into(), value])
            .collect();
        // A reset of the guest is its end, as on AWS.
        arguments.extend(["-no-user-config".into(), "-no-reboot".into()]);
        arguments
    }
}

/// A comma in an option's value is written twice.
fn escape(value: &OsStr) -> OsString {
    let bytes = value
        .as_bytes()
        .iter()
        .flat_map(|b| std::iter::repeat_n(*b, 1 + usize::from(*b == b',')));
    OsString::from_vec(bytes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_fixed() {
        let machine = Machine {
            image: "a,b.eif".into(),
            vsock: "/run/x,y/vhost.sock".into(),
            memory_mib: 512,
            cpus: 2,
            id: "i-1,k=v".into(),
        };
        let words = machine.arguments();
        let text: Vec<_> = words.iter().map(|w| w.to_str().unwrap()).collect();
        assert_eq!(
            text.join(" "),
            "-chardev socket,id=vsock,path=/run/x,,y/vhost.sock -M nitro-enclave,vsock=vsock,id=i-1,,k=v \
             -kernel a,b.eif -m 512M -smp 2 -accel tcg,thread=multi -cpu max -display none -monitor none \
             -chardev stdio,id=console,signal=off -serial chardev:console -no-user-config -no-reboot"
        );
    }
}
