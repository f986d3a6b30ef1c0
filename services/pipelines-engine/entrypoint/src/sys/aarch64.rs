//! The instruction that calls the kernel on aarch64 (syscall(2)).

use core::arch::asm;

/// What the kernel answers: a value, or an error as a small negative number.
///
/// # Safety
/// The arguments are what the call `number` takes; addresses among them are valid for as long as it needs them.
pub(super) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let answer;
    // SAFETY: as promised by the caller; the register is the one that the kernel changes.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] => answer,
            in("x1") arguments[1], in("x2") arguments[2], in("x3") arguments[3], in("x4") arguments[4], in("x5") arguments[5],
            options(nostack),
        );
    }
    answer
}
