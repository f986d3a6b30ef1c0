//! The instruction that calls the kernel on x86-64 (syscall(2)).

use core::arch::asm;

/// What the kernel answers: a value, or an error as a small negative number.
///
/// # Safety
/// The arguments are what the call `number` takes; addresses among them are valid for as long as it needs them.
pub(super) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let answer;
    // SAFETY: as promised by the caller; the registers are those that the kernel changes.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2], in("r10") arguments[3], in("r8") arguments[4], in("r9") arguments[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}
