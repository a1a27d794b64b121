//! What weakens trust by the image's own policy. It is measured, so it is no fault of the image, but an auditor has to see it.

use control::policy::ImagePolicy;

use super::Report;
use super::report::causes;

pub(super) fn look(policy: &[u8], report: &mut Report) {
    let path = control::policy::PATH;
    match ImagePolicy::parse(policy) {
        Ok(policy) => {
            let weakened = policy.trust.weakened();
            if !weakened.is_empty() {
                report.caveat(format!(
                    "TRUST IS WEAKENED by {path}: {}; not for production",
                    weakened.join(", ")
                ));
            }
            report.weakened = Some(weakened);
        }
        Err(error) => report.caveat(format!(
            "{path} cannot be read, so what weakens trust cannot be told, and the agent would not start: {}",
            causes(&error)
        )),
    }
}
