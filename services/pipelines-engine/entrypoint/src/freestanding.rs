//! What a standard library and a C library do for other programs: the entry point, the heap, panics, and the functions that
//! compiled code calls for copying memory.
#![expect(
    unsafe_code,
    reason = "below a program there are only addresses; nothing else of the entrypoint is unsafe but its system calls"
)]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::fmt::Write as _;
use core::panic::PanicInfo;

use pipelines_entrypoint::{log, sys};

// The kernel starts here: the stack pointer leads to the number of arguments, and nothing has been called yet.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    "ud2",
    begin = sym begin,
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {begin}",
    "brk #1",
    begin = sym begin,
);

/// `stack`: the number of arguments, their addresses, null, the addresses of the environment, null.
extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: the kernel lays the stack out like this for every program.
    let (arguments, environment) = unsafe {
        let count = *stack;
        let arguments = stack.add(1).cast::<*const c_char>();
        (strings(arguments), strings(arguments.add(count + 1)))
    };
    pipelines_entrypoint::main(arguments, environment)
}

/// # Safety
/// `list` leads to addresses of strings, and a null behind them.
unsafe fn strings(mut list: *const *const c_char) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    // SAFETY: as promised by the caller.
    unsafe {
        while !(*list).is_null() {
            strings.push(CStr::from_ptr(*list).to_bytes().to_vec());
            list = list.add(1);
        }
    }
    strings
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(log::Stderr, "entrypoint: {info}");
    sys::exit(1)
}

/// Room for all that the program holds: its arguments and environment several times over (the kernel's limit of both
/// together is 2 MiB on usual stacks), and the results of a step. A page costs memory once it is touched, not before.
const HEAP_SIZE: usize = 32 << 20;

/// Hands out memory from one end to the other. The last piece handed out can be given back or grow, as pieces in loops do;
/// others stay. There is one thread.
struct Heap {
    memory: UnsafeCell<[u8; HEAP_SIZE]>,
    used: UnsafeCell<usize>,
}

// SAFETY: the program has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap { memory: UnsafeCell::new([0; HEAP_SIZE]), used: UnsafeCell::new(0) };

impl Heap {
    fn start(&self) -> *mut u8 {
        self.memory.get().cast()
    }

    /// Where a piece ends, counted from the start.
    fn end_of(&self, piece: *mut u8, size: usize) -> usize {
        piece.addr() - self.start().addr() + size
    }
}

// SAFETY: pieces do not overlap, are as long and aligned as asked for, and stay where they are.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and nothing below calls back.
        let used = unsafe { &mut *self.used.get() };
        let address = self.start().addr() + *used;
        let begin = *used + (address.next_multiple_of(layout.align()) - address);
        match begin.checked_add(layout.size()).filter(|end| *end <= HEAP_SIZE) {
            Some(end) => {
                *used = end;
                // SAFETY: not behind the end of the memory.
                unsafe { self.start().add(begin) }
            }
            None => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: one thread, and nothing below calls back.
        let used = unsafe { &mut *self.used.get() };
        if self.end_of(piece, layout.size()) == *used {
            *used -= layout.size();
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: one thread, and nothing below calls back but `alloc`, after the last use.
        let used = unsafe { &mut *self.used.get() };
        let is_last = self.end_of(piece, layout.size()) == *used;
        let begin = *used - if is_last { layout.size() } else { 0 };
        if is_last && size <= HEAP_SIZE - begin {
            *used = begin + size;
            return piece;
        }
        // SAFETY: the new piece is another one, and the alignment was fine before.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                core::ptr::copy_nonoverlapping(piece, new, size.min(layout.size()));
            }
            new
        }
    }
}

// Compiled code calls these by name. Volatile, because the compiler would make a call of the function itself of a plain
// loop. A byte at a time is fast enough: nothing long is copied, output goes through one buffer.

/// # Safety
/// As memcpy(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: within what the caller says is there.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
    }
    to
}

/// # Safety
/// As memmove(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr() <= from.addr() {
        // SAFETY: from the front, no byte is written before it is read.
        return unsafe { memcpy(to, from, count) };
    }
    for at in (0..count).rev() {
        // SAFETY: within what the caller says is there.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
    }
    to
}

/// # Safety
/// As memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: within what the caller says is there.
        unsafe { to.add(at).write_volatile(value.to_ne_bytes()[0]) };
    }
    to
}

/// # Safety
/// As memcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: within what the caller says is there.
        let (one, other) = unsafe { (one.add(at).read_volatile(), other.add(at).read_volatile()) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

/// # Safety
/// As bcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(one, other, count) }
}

/// # Safety
/// As strlen(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: a zero byte is there, as the caller says.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

// The compiled library of Rust was made for programs that unwind after a panic, and names these. Nothing unwinds here: the
// panic handler ends the process.

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    sys::exit(1)
}
