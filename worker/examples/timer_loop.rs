//! A bare timer loop at a fixed rate, and how late it wakes: what a lane's dispatch lag is measured against.
//!
//! Usage: timer_loop RATE SECONDS. Prints the p50 and p99 of its lateness in microseconds.

use loadgrid_proto::histogram::Recorder;
use loadgrid_worker::clock::now_ns;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (Some(rate), Some(seconds)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: timer_loop RATE SECONDS");
        std::process::exit(2);
    };
    let Ok(timer) = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC) else {
        eprintln!("this machine gives no timer");
        std::process::exit(1);
    };
    let start = now_ns() + 10_000_000;
    let mut late = Recorder::default();
    for k in 0..rate * seconds {
        let due = start + k * 1_000_000_000 / rate;
        let at = Timespec { tv_sec: (due / 1_000_000_000) as i64, tv_nsec: (due % 1_000_000_000) as _ };
        if now_ns() < due {
            let expiry = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
            // A failure shows as a loop that is never late, which no reader will believe.
            let _ = timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &expiry);
            let _ = rustix::io::read(&timer, &mut [0; 8]);
        }
        late.record(now_ns().saturating_sub(due));
    }
    let late = late.drain();
    let at = |quantile: f64| late.quantile(quantile).unwrap_or(0) as f64 / 1000.0;
    println!("{:.1} {:.1}", at(0.5), at(0.99));
}
