//! The system calls that a step needs, as safe functions. There is no C library below them (decision 0019), so each says in
//! its own types what the kernel's manual says in words.
//!
//! Only calls that x86-64 and aarch64 both have are used: `openat` and not `open`, `ppoll` and not `poll`.
#![expect(
    unsafe_code,
    reason = "a system call takes addresses; each function here passes those of values that outlive the call"
)]

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr;

use linux_raw_sys::errno;
use linux_raw_sys::general as kernel;

#[cfg(target_arch = "aarch64")]
#[path = "sys/aarch64.rs"]
mod machine;
#[cfg(target_arch = "x86_64")]
#[path = "sys/x86_64.rs"]
mod machine;

/// Why the kernel refused a call: a number of errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u32);

impl Errno {
    pub const NOT_FOUND: Self = Self(errno::ENOENT);
    pub const EXISTS: Self = Self(errno::EEXIST);
    pub const DENIED: Self = Self(errno::EACCES);
    pub const NO_FOLDER: Self = Self(errno::ENOTDIR);
    pub const AGAIN: Self = Self(errno::EAGAIN);
    pub const INTERRUPTED: Self = Self(errno::EINTR);
    pub const INVALID: Self = Self(errno::EINVAL);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            errno::ENOENT => "no such file or directory",
            errno::EACCES => "permission denied",
            errno::EPERM => "operation not permitted",
            errno::ENOTDIR => "not a directory",
            errno::EISDIR => "is a directory",
            errno::EEXIST => "exists already",
            errno::ENOEXEC => {
                "exec format error: built for another architecture, or a script without #! line"
            }
            errno::ENOSPC => "no space left on device",
            errno::EROFS => "read-only file system",
            errno::E2BIG => "arguments and environment are too long",
            errno::ENOMEM => "out of memory",
            errno::EAGAIN => "a limit of processes is reached",
            other => return write!(f, "error {other} (see errno(3))"),
        };
        f.write_str(text)
    }
}

pub type Result<T> = core::result::Result<T, Errno>;

fn call(number: u32, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: the callers below pass the addresses of values that they own, in the shape that the kernel expects.
    let answer = unsafe { machine::syscall(number as usize, arguments) };
    match u32::try_from(answer.wrapping_neg()) {
        // The kernel's numbers of errors end at 4095.
        Ok(error @ 1..=4095) => Err(Errno(error)),
        _ => Ok(answer.cast_unsigned()),
    }
}

/// As the kernel takes a negative number, such as that of a process group.
const fn signed(number: i32) -> usize {
    (number as isize).cast_unsigned()
}

fn address<T>(value: &T) -> usize {
    ptr::from_ref(value).addr()
}

const HERE: usize = signed(kernel::AT_FDCWD);

/// A path for the kernel, which takes everything up to the first zero byte.
fn path(text: &[u8]) -> Result<CString> {
    CString::new(text).map_err(|_| Errno::INVALID)
}

/// An open file, closed when dropped.
#[derive(Debug)]
pub struct File(i32);

impl File {
    /// Standard output and standard error, which stay open.
    pub const STDOUT: core::mem::ManuallyDrop<Self> = core::mem::ManuallyDrop::new(Self(1));
    pub const STDERR: core::mem::ManuallyDrop<Self> = core::mem::ManuallyDrop::new(Self(2));

    fn from_call(answer: usize) -> Self {
        Self(i32::try_from(answer).unwrap_or(-1))
    }

    fn open(name: &[u8], flags: u32, mode: u32) -> Result<Self> {
        let name = path(name)?;
        let flags = (flags | kernel::O_CLOEXEC) as usize;
        call(kernel::__NR_openat, [HERE, name.as_ptr().addr(), flags, mode as usize, 0, 0])
            .map(Self::from_call)
    }

    /// For reading. Never waits, whatever `name` is.
    pub fn read_only(name: &[u8]) -> Result<Self> {
        Self::open(name, kernel::O_RDONLY | kernel::O_NONBLOCK, 0)
    }

    /// For writing from its beginning, made if it is not there.
    pub fn create(name: &[u8], mode: u32) -> Result<Self> {
        Self::open(name, kernel::O_WRONLY | kernel::O_CREAT | kernel::O_TRUNC, mode)
    }

    /// How many bytes were read; 0 at the end.
    pub fn read(&self, into: &mut [u8]) -> Result<usize> {
        retry(|| {
            let at = into.as_mut_ptr().addr();
            call(kernel::__NR_read, [signed(self.0), at, into.len(), 0, 0, 0])
        })
    }

    pub fn write_all(&self, mut content: &[u8]) -> Result<()> {
        while !content.is_empty() {
            let at = content.as_ptr().addr();
            let written = retry(|| call(kernel::__NR_write, [signed(self.0), at, content.len(), 0, 0, 0]))?;
            content = content.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    pub fn set_mode(&self, mode: u32) -> Result<()> {
        call(kernel::__NR_fchmod, [signed(self.0), mode as usize, 0, 0, 0, 0]).map(drop)
    }

    pub fn stat(&self) -> Result<Stat> {
        statx(signed(self.0), c"", kernel::AT_EMPTY_PATH)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = call(kernel::__NR_close, [signed(self.0), 0, 0, 0, 0, 0]);
    }
}

fn retry<T>(mut action: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match action() {
            Err(Errno::INTERRUPTED) => {}
            other => return other,
        }
    }
}

/// What is known of a file without reading it. Two that are equal are of a file that nobody wrote to between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub is_regular: bool,
    pub size: u64,
    inode: u64,
    /// Seconds and nanoseconds of the last change of content, and of anything.
    modified: (i64, u32),
    changed: (i64, u32),
}

/// Of what a path leads to.
pub fn stat(name: &[u8]) -> Result<Stat> {
    statx(HERE, &path(name)?, 0)
}

fn statx(folder: usize, name: &CStr, flags: u32) -> Result<Stat> {
    let mut stat = MaybeUninit::<kernel::statx>::zeroed();
    let into = stat.as_mut_ptr().addr();
    let mask = kernel::STATX_BASIC_STATS as usize;
    call(kernel::__NR_statx, [folder, name.as_ptr().addr(), flags as usize, mask, into, 0])?;
    // SAFETY: all zeroes is a value of the type, and the kernel wrote over it.
    let stat = unsafe { stat.assume_init() };
    let time = |time: kernel::statx_timestamp| (time.tv_sec, time.tv_nsec);
    Ok(Stat {
        is_regular: u32::from(stat.stx_mode) & kernel::S_IFMT == kernel::S_IFREG,
        size: stat.stx_size,
        inode: stat.stx_ino,
        modified: time(stat.stx_mtime),
        changed: time(stat.stx_ctime),
    })
}

pub fn make_folder(name: &[u8], mode: u32) -> Result<()> {
    let name = path(name)?;
    call(kernel::__NR_mkdirat, [HERE, name.as_ptr().addr(), mode as usize, 0, 0, 0]).map(drop)
}

/// Makes `name` lead to `target`.
pub fn make_link(target: &[u8], name: &[u8]) -> Result<()> {
    let (target, name) = (path(target)?, path(name)?);
    call(kernel::__NR_symlinkat, [target.as_ptr().addr(), HERE, name.as_ptr().addr(), 0, 0, 0]).map(drop)
}

/// Puts a file in the place of another of the same file system, at once for everybody who looks.
pub fn rename(from: &[u8], to: &[u8]) -> Result<()> {
    let (from, to) = (path(from)?, path(to)?);
    call(kernel::__NR_renameat2, [HERE, from.as_ptr().addr(), HERE, to.as_ptr().addr(), 0, 0]).map(drop)
}

pub fn remove_file(name: &[u8]) -> Result<()> {
    let name = path(name)?;
    call(kernel::__NR_unlinkat, [HERE, name.as_ptr().addr(), 0, 0, 0, 0]).map(drop)
}

pub fn change_folder(name: &[u8]) -> Result<()> {
    let name = path(name)?;
    call(kernel::__NR_chdir, [name.as_ptr().addr(), 0, 0, 0, 0, 0]).map(drop)
}

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    clock(kernel::CLOCK_REALTIME)
}

/// Nanoseconds since some moment before; never set back.
pub fn ticks() -> i64 {
    clock(kernel::CLOCK_MONOTONIC)
}

fn clock(which: u32) -> i64 {
    let mut time = kernel::__kernel_timespec { tv_sec: 0, tv_nsec: 0 };
    let into = ptr::from_mut(&mut time).addr();
    // Cannot fail: both clocks are always there.
    let _ = call(kernel::__NR_clock_gettime, [which as usize, into, 0, 0, 0, 0]);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// A pipe: the end to read from, which does not wait, and the end to write to.
pub fn pipe() -> Result<(File, File)> {
    let mut ends = [0_i32; 2];
    let into = ends.as_mut_ptr().addr();
    call(kernel::__NR_pipe2, [into, kernel::O_CLOEXEC as usize, 0, 0, 0, 0])?;
    let (read, write) = (File(ends[0]), File(ends[1]));
    let flags = kernel::O_NONBLOCK as usize;
    call(kernel::__NR_fcntl, [signed(read.0), kernel::F_SETFL as usize, flags, 0, 0, 0])?;
    Ok((read, write))
}

/// Tells of changes in folders.
#[derive(Debug)]
pub struct Watch(File);

impl Watch {
    pub fn new() -> Result<Self> {
        let flags = (kernel::IN_CLOEXEC | kernel::IN_NONBLOCK) as usize;
        call(kernel::__NR_inotify_init1, [flags, 0, 0, 0, 0, 0]).map(File::from_call).map(Self)
    }

    /// Files that appear in a folder, get another name in it, or are written.
    pub fn add(&self, folder: &[u8]) -> Result<()> {
        let folder = path(folder)?;
        let events = kernel::IN_CREATE | kernel::IN_MOVED_TO | kernel::IN_MODIFY | kernel::IN_CLOSE_WRITE;
        let arguments = [signed(self.0.0), folder.as_ptr().addr(), events as usize, 0, 0, 0];
        call(kernel::__NR_inotify_add_watch, arguments).map(drop)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    /// Takes what it has to tell: whoever asked looks at the files themselves.
    pub fn clear(&self) {
        let mut events = [0; 4096];
        while self.0.read(&mut events).is_ok_and(|count| count > 0) {}
    }
}

/// Waits until one of the files can be read, at most for `limit` nanoseconds. Those that are `None` can never.
pub fn poll<const N: usize>(files: [Option<&File>; N], limit: i64) -> [bool; N] {
    /// `POLLIN`, as wide as the field.
    const READABLE: i16 = 1;
    let mut polled =
        files.map(|file| kernel::pollfd { fd: file.map_or(-1, |file| file.0), events: READABLE, revents: 0 });
    let limit = limit.max(0);
    let limit = kernel::__kernel_timespec { tv_sec: limit / 1_000_000_000, tv_nsec: limit % 1_000_000_000 };
    let at = polled.as_mut_ptr().addr();
    match call(kernel::__NR_ppoll, [at, N, address(&limit), 0, 0, 0]) {
        Ok(1..) => polled.map(|polled| polled.revents != 0),
        _ => [false; N],
    }
}

/// Signals as the kernel sees them: one bit each, from 1.
pub type SignalSet = u64;

/// How long a [`SignalSet`] is.
const SET_SIZE: usize = size_of::<SignalSet>();

/// A signal's number of signal(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub i32);

impl Signal {
    pub const KILL: Self = Self(kernel::SIGKILL.cast_signed());
    pub const TERMINATE: Self = Self(kernel::SIGTERM.cast_signed());
    pub const INTERRUPT: Self = Self(kernel::SIGINT.cast_signed());
    pub const QUIT: Self = Self(kernel::SIGQUIT.cast_signed());
    pub const HANG_UP: Self = Self(kernel::SIGHUP.cast_signed());
    pub const CHILD: Self = Self(kernel::SIGCHLD.cast_signed());
}

/// Signals sent to this process, which it reads instead of being interrupted. The first process of a container would not
/// get them otherwise.
#[derive(Debug)]
pub struct Signals {
    file: File,
    /// Those that were blocked before, as they are to be again in the step's own process.
    before: SignalSet,
}

impl Signals {
    pub fn take() -> Result<Self> {
        let all: SignalSet = !0;
        let mut before: SignalSet = 0;
        let into = ptr::from_mut(&mut before).addr();
        let how = kernel::SIG_SETMASK as usize;
        call(kernel::__NR_rt_sigprocmask, [how, address(&all), into, SET_SIZE, 0, 0])?;
        let flags = (kernel::O_CLOEXEC | kernel::O_NONBLOCK) as usize;
        let file = call(kernel::__NR_signalfd4, [signed(-1), address(&all), SET_SIZE, flags, 0, 0])?;
        Ok(Self { file: File::from_call(file), before })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// The next one, if there is one.
    pub fn next(&self) -> Option<Signal> {
        // `struct signalfd_siginfo`, whose first field is the number.
        let mut info = [0_u8; 128];
        let count = self.file.read(&mut info).ok()?;
        let number = info.first_chunk::<4>().filter(|_| count == info.len())?;
        Some(Signal(i32::from_ne_bytes(*number)))
    }
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(i32);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Killed(Signal),
}

impl Process {
    /// Sends a signal to the process and all others of its group.
    pub fn signal_group(self, signal: Signal) {
        // Fails only if there are none left.
        let _ = call(kernel::__NR_kill, [signed(-self.0), signed(signal.0), 0, 0, 0, 0]);
    }
}

/// Any child that has ended, its own or one that an ended child left behind; `None` when there is none now.
pub fn reap() -> Option<(Process, Ended)> {
    let mut status = 0_i32;
    let into = ptr::from_mut(&mut status).addr();
    let flags = kernel::WNOHANG as usize;
    let child = call(kernel::__NR_wait4, [signed(-1), into, flags, 0, 0, 0]).ok()?;
    let child = i32::try_from(child).ok().filter(|child| *child > 0)?;
    let ended = match status & 0x7f {
        0 => Ended::Exited(status >> 8 & 0xff),
        signal => Ended::Killed(Signal(signal)),
    };
    Some((Process(child), ended))
}

/// A program to start.
pub struct Program<'a> {
    /// Files to try in this order: the first that is there is run.
    pub files: &'a [CString],
    /// From the name on.
    pub arguments: &'a [CString],
    pub environment: &'a [CString],
    /// Instead of the own ones.
    pub stdout: Option<&'a File>,
    pub stderr: Option<&'a File>,
}

/// Starts a program in a process group of its own.
pub fn start(program: &Program<'_>, signals: &Signals) -> Result<Process> {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(program.arguments), pointers(program.environment));
    // Closed by the start of the program, or tells why there was none.
    let (failure, report) = pipe()?;
    match call(kernel::__NR_clone, [kernel::SIGCHLD as usize, 0, 0, 0, 0, 0])? {
        0 => {
            // The child. Memory must not be allocated from here on.
            let error = become_program(program, &arguments, &environment, signals);
            let _ = report.write_all(&error.0.to_ne_bytes());
            exit(1)
        }
        child => {
            drop(report);
            let child = Process(i32::try_from(child).unwrap_or_default());
            // Both sides do it, so that it is done for whoever comes first.
            let _ = call(kernel::__NR_setpgid, [signed(child.0), signed(child.0), 0, 0, 0, 0]);
            let mut number = [0; 4];
            let count = loop {
                poll([Some(&failure)], i64::MAX);
                match failure.read(&mut number) {
                    Err(Errno::AGAIN) => {}
                    other => break other?,
                }
            };
            if count < number.len() {
                return Ok(child);
            }
            let _ = retry(|| call(kernel::__NR_wait4, [signed(child.0), 0, 0, 0, 0, 0]));
            Err(Errno(u32::from_ne_bytes(number)))
        }
    }
}

/// Returns only if the program cannot be started.
fn become_program(
    program: &Program<'_>,
    arguments: &[*const c_char],
    environment: &[*const c_char],
    signals: &Signals,
) -> Errno {
    let prepared = call(kernel::__NR_setpgid, [0; 6]).and_then(|_| {
        for (file, number) in [(program.stdout, 1), (program.stderr, 2)] {
            if let Some(file) = file {
                call(kernel::__NR_dup3, [signed(file.0), number, 0, 0, 0, 0])?;
            }
        }
        let how = kernel::SIG_SETMASK as usize;
        call(kernel::__NR_rt_sigprocmask, [how, address(&signals.before), 0, SET_SIZE, 0, 0])
    });
    if let Err(error) = prepared {
        return error;
    }
    let mut denied = false;
    for file in program.files {
        let file = file.as_ptr().addr();
        let (arguments, environment) = (arguments.as_ptr().addr(), environment.as_ptr().addr());
        match call(kernel::__NR_execve, [file, arguments, environment, 0, 0, 0]) {
            // It does not return if it has found something.
            Ok(_) | Err(Errno::NOT_FOUND | Errno::NO_FOLDER) => {}
            Err(Errno::DENIED) => denied = true,
            Err(other) => return other,
        }
    }
    if denied { Errno::DENIED } else { Errno::NOT_FOUND }
}

/// Ends the process.
pub fn exit(code: i32) -> ! {
    loop {
        let _ = call(kernel::__NR_exit_group, [signed(code), 0, 0, 0, 0, 0]);
    }
}
