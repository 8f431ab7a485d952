//! Which of the tests that wait begins next, and why the others wait: one test at a time on each target, in the order in
//! which they came. Pure: no clock, no threads.

const NO_WORKER: &str = "no worker came within the time that the test waits for one (--join-timeout): start \
                         `loadgrid-worker --coordinator …`, or let the chart have workers";

/// A test that waits or goes on, as far as the queue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub run: String,
    pub test: String,
    /// `host:port` of everything that it sends to.
    pub targets: Vec<String>,
    /// How many workers it asks for; `None` takes all that are free.
    pub workers: Option<usize>,
    /// Whether it has waited for a first worker for as long as it was told to.
    pub overdue: bool,
}

/// The pool at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    pub idle: usize,
    /// On their way back from a run: a moment.
    pub returning: usize,
    /// Somebody new came just now: others may be right behind.
    pub joining: bool,
    pub all: usize,
}

/// What becomes of a test that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It begins, with so many workers.
    Begins(usize),
    Waits(String),
    /// It is given up.
    Fails(String),
}

/// Looks at those who wait, the first first. At most one begins: the next look sees the pool without its workers.
///
/// A test whose target is taken lets others pass, and one that waits for workers does not: it would never have them.
pub fn turns(waiting: &[Place], going: &[Place], workers: Workers) -> Vec<Turn> {
    let mut taken: Vec<&Place> = going.iter().collect();
    let mut closed: Option<String> = None;
    let mut turns = Vec::with_capacity(waiting.len());
    for place in waiting {
        let holder = taken.iter().find(|other| other.targets.iter().any(|target| place.targets.contains(target)));
        let turn = match (holder, &closed) {
            (Some(holder), _) => Turn::Waits(taken_by(place, holder)),
            (None, Some(why)) => Turn::Waits(why.clone()),
            (None, None) => workers_for(place, workers, going.is_empty()),
        };
        match &turn {
            Turn::Begins(_) => closed = Some(format!("{} ({}) begins first", place.test, place.run)),
            Turn::Waits(_) if holder.is_none() && closed.is_none() => {
                closed = Some(format!("{} ({}) waits for workers and comes first", place.test, place.run));
            }
            Turn::Waits(_) | Turn::Fails(_) => {}
        }
        // Who came earlier for a target has it earlier.
        taken.push(place);
        turns.push(turn);
    }
    turns
}

fn taken_by(place: &Place, holder: &Place) -> String {
    let target = holder.targets.iter().find(|target| place.targets.contains(target)).map_or("", String::as_str);
    format!("{target} is taken by {} (run {})", holder.test, holder.run)
}

fn workers_for(place: &Place, workers: Workers, alone: bool) -> Turn {
    match place.workers {
        _ if workers.returning > 0 => Turn::Waits("workers are on their way back".to_owned()),
        // All that are free are not half of those who are on their way.
        None if workers.joining => Turn::Waits("workers are joining".to_owned()),
        None if workers.idle > 0 => Turn::Begins(workers.idle),
        None if workers.all == 0 && place.overdue => Turn::Fails(NO_WORKER.to_owned()),
        None if workers.all == 0 => Turn::Waits("no worker is here yet".to_owned()),
        // Nobody will give workers back: it begins, and says who is missing if none comes.
        None if alone => Turn::Begins(1),
        None => Turn::Waits("all workers are in other tests".to_owned()),
        Some(wanted) if wanted <= workers.idle || wanted > workers.all => Turn::Begins(wanted),
        Some(wanted) => {
            Turn::Waits(format!("{wanted} workers are wanted, {} of {} are free", workers.idle, workers.all))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(run: &str, target: &str, workers: Option<usize>) -> Place {
        Place {
            run: run.to_owned(),
            test: format!("t{run}"),
            targets: vec![target.to_owned()],
            workers,
            overdue: false,
        }
    }

    fn pool(idle: usize, all: usize) -> Workers {
        Workers { idle, returning: 0, joining: false, all }
    }

    #[test]
    fn who_comes_back_is_waited_for() {
        let turns = turns(&[place("1", "a:80", None)], &[], Workers { returning: 2, ..pool(1, 3) });
        assert!(matches!(&turns[0], Turn::Waits(why) if why.contains("way back")), "{turns:?}");
    }

    #[test]
    fn the_first_begins_with_all_that_are_free() {
        assert_eq!(turns(&[place("1", "a:80", None)], &[], pool(3, 3)), [Turn::Begins(3)]);
    }

    #[test]
    fn one_at_a_time_on_a_target_in_the_order_in_which_they_came() {
        let waiting = [place("2", "a:80", Some(1)), place("3", "a:80", Some(1)), place("4", "b:80", Some(1))];
        let turns = turns(&waiting, &[place("1", "a:80", Some(1))], pool(2, 3));
        let Turn::Waits(why) = &turns[0] else { panic!("{turns:?}") };
        assert!(why.contains("a:80 is taken by t1 (run 1)"), "{why}");
        assert!(matches!(&turns[1], Turn::Waits(_)));
        assert_eq!(turns[2], Turn::Begins(1));
    }

    #[test]
    fn who_waits_for_workers_is_not_passed() {
        let waiting = [place("2", "b:80", Some(2)), place("3", "c:80", Some(1))];
        let turns = turns(&waiting, &[place("1", "a:80", Some(2))], pool(1, 3));
        assert_eq!(turns[0], Turn::Waits("2 workers are wanted, 1 of 3 are free".to_owned()));
        assert!(matches!(&turns[1], Turn::Waits(why) if why.contains("comes first")));
    }

    #[test]
    fn more_than_there_are_begins_so_that_somebody_says_so() {
        assert_eq!(turns(&[place("1", "a:80", Some(5))], &[], pool(2, 2)), [Turn::Begins(5)]);
        // All are away, and nobody will give them back.
        assert_eq!(turns(&[place("1", "a:80", None)], &[], pool(0, 2)), [Turn::Begins(1)]);
    }

    #[test]
    fn all_means_all_that_are_coming_and_nobody_is_waited_for_for_ever() {
        let all = place("1", "a:80", None);
        let joining = Workers { joining: true, ..pool(1, 1) };
        assert!(
            matches!(&turns(std::slice::from_ref(&all), &[], joining)[0], Turn::Waits(why) if why.contains("joining"))
        );
        assert_eq!(turns(&[place("1", "a:80", Some(1))], &[], joining), [Turn::Begins(1)]);
        assert!(
            matches!(&turns(std::slice::from_ref(&all), &[], pool(0, 0))[0], Turn::Waits(why) if why.contains("no worker"))
        );
        let overdue = Place { overdue: true, ..all };
        let turns = turns(&[overdue, place("2", "b:80", Some(2))], &[], pool(0, 0));
        assert!(matches!(&turns[0], Turn::Fails(why) if why.contains("--join-timeout")), "{turns:?}");
        // Who fails holds nobody up.
        assert_eq!(turns[1], Turn::Begins(2));
    }

    proptest! {
        #[test]
        fn no_two_overlap_and_somebody_always_begins(
            jobs in proptest::collection::vec((0usize..4, proptest::option::of(1usize..5)), 1..12),
            all in 1usize..6,
        ) {
            let jobs: Vec<Place> = jobs
                .iter()
                .enumerate()
                .map(|(run, (target, workers))| place(&run.to_string(), &format!("{target}:80"), *workers))
                .collect();
            let (mut waiting, mut going, mut used) = (jobs, Vec::<(Place, usize)>::new(), 0usize);
            // Each round one may begin; when none can, the oldest ends.
            while !waiting.is_empty() {
                let places: Vec<Place> = going.iter().map(|(place, _)| place.clone()).collect();
                let seen = turns(&waiting, &places, pool(all.saturating_sub(used), all));
                prop_assert_eq!(seen.len(), waiting.len());
                let begins = seen.iter().position(|turn| matches!(turn, Turn::Begins(_)));
                prop_assert!(seen.iter().filter(|turn| matches!(turn, Turn::Begins(_))).count() <= 1);
                match begins {
                    Some(at) => {
                        let Turn::Begins(count) = seen[at] else { unreachable!() };
                        let place = waiting.remove(at);
                        prop_assert!(places.iter().all(|other| other.targets != place.targets));
                        let lent = count.min(all.saturating_sub(used));
                        used += lent;
                        going.push((place, lent));
                    }
                    None => {
                        prop_assert!(!going.is_empty(), "nobody goes and nobody begins");
                        used -= going.remove(0).1;
                    }
                }
            }
        }
    }
}
