//! A timer on the kernel's monotonic clock with an absolute deadline.
//!
//! The runtime's own timer has a wheel of 1 ms and wakes half a millisecond late at the median; a timerfd in the same
//! poll instance wakes some tens of microseconds late and is not rounded to the thread's timer slack.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One deadline at a time.
pub struct Timer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer {
    /// # Errors
    /// No descriptor is left, or the runtime has no I/O driver.
    #[allow(unsafe_code)]
    pub fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: the descriptor is owned by the AsyncFd, which deregisters it before it closes it; nobody else has it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Timer { fd })
    }

    /// Waits until the clock shows `at_ns`; at once if it already does.
    ///
    /// # Errors
    /// None that a valid descriptor gives.
    pub async fn wait_until(&self, at_ns: u64) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would disarm it.
        let at = at_ns.max(1);
        let at = Timespec { tv_sec: (at / 1_000_000_000) as i64, tv_nsec: (at % 1_000_000_000) as _ };
        let expiry = Itimerspec { it_interval: zero, it_value: at };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &expiry)?;
        // Setting it anew empties the descriptor, so it needs no read: the next expiry is a new edge.
        self.fd.readable().await?.clear_ready();
        Ok(())
    }
}
