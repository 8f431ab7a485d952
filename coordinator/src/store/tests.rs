use std::fs;

use super::*;

pub(super) fn entry(id: &str) -> Entry {
    Entry {
        id: id.to_owned(),
        kind: Kind::Run,
        test: "checkout".to_owned(),
        started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        duration: 60.0,
        model: "open loop".to_owned(),
        arrivals: "poisson".to_owned(),
        target_rate: Some(1000.0),
        requests: "home".to_owned(),
        verdict: "pass".to_owned(),
        validity: "valid".to_owned(),
        metrics: BTreeMap::from([("http/latency-p99".to_owned(), 0.0125), ("http/error-rate".to_owned(), 0.0)]),
        loadgrid: "0.1.0".to_owned(),
    }
}

/// A folder that goes with the test.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("loadgrid-store-{}", Ulid::generate()));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn id(n: u64) -> String {
    Ulid::from_parts(1_700_000_000_000 + n, u128::from(n)).to_string()
}

fn ids(listing: &Listing) -> Vec<&str> {
    listing.entries.iter().map(|entry| entry.id.as_str()).collect()
}

fn in_folder(scratch: &Scratch) -> Store {
    let cache = scratch.path().join("cache").display().to_string();
    let environment = [("XDG_CACHE_HOME".to_owned(), cache)].into_iter().collect();
    Store::open(&Location::Folder(scratch.path().join("store")), &environment).unwrap()
}

fn in_bucket(scratch: &Scratch) -> Store {
    let index = Some(scratch.path().join("cache/loadgrid/store-0.index"));
    let location = Location::S3 { bucket: "b".into(), prefix: "p/q".into() };
    Store { location, place: Place::Bucket(Bucket::in_memory()), index, key: "b".into() }
}

/// A server without a network between: what travels is written and read again all the same.
#[derive(Debug)]
struct Wire(Store);

impl Serves for Wire {
    fn ask(&self, ask: Ask) -> Answering<'_> {
        Box::pin(async move {
            let ask: Ask = serde_json::from_str(&serde_json::to_string(&ask).unwrap()).unwrap();
            let answer = self.0.answer(ask).await.map_err(|error| error.to_string())?;
            Ok(serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap())
        })
    }
}

fn over_a_server(scratch: &Scratch) -> Store {
    Store::served("https://grid:7400", Box::new(Wire(in_bucket(scratch))))
}

/// All places, one after the other.
fn everywhere(test: impl AsyncFn(&Store, &Scratch)) {
    for open in [in_folder, in_bucket, over_a_server] {
        let scratch = Scratch::new();
        block_on(test(&open(&scratch), &scratch));
    }
}

async fn all(store: &Store) -> Listing {
    store.list(&Filter::default()).await.unwrap()
}

#[test]
fn runs_are_kept_listed_read_and_removed() {
    everywhere(async |store, _| {
        assert_eq!(all(store).await, Listing::default());
        for n in 0..3 {
            let started_at = Timestamp::from_second(1_700_000_000 - n as i64).unwrap();
            store.put(&Entry { started_at, ..entry(&id(n)) }, "{\n\"a\": 1}").await.unwrap();
        }
        // By when they started, the newest last.
        assert_eq!(ids(&all(store).await), [id(2), id(1), id(0)]);
        let stored = store.get(&id(1).to_lowercase()).await.unwrap();
        assert_eq!((stored.entry.id, stored.document.as_str()), (id(1), "{\"a\": 1}"));
        store.put(&entry(&id(1)), "2").await.unwrap();
        assert_eq!(store.get(&id(1)).await.unwrap().document, "2");
        store.remove(&id(1)).await.unwrap();
        assert_eq!(ids(&all(store).await), [id(2), id(0)]);
        for error in [store.remove(&id(1)).await.unwrap_err(), store.get(&id(1)).await.unwrap_err()] {
            assert_eq!(error.cause(), Cause::Unknown);
            assert!(error.to_string().contains(&id(1)) && error.to_string().contains(&store.location().to_string()));
        }
    });
}

#[test]
fn a_filter_takes_a_test_a_kind_or_both() {
    everywhere(async |store, _| {
        store.put(&entry(&id(0)), "{}").await.unwrap();
        store.put(&Entry { kind: Kind::Capacity, ..entry(&id(1)) }, "{}").await.unwrap();
        store.put(&Entry { test: "search".into(), ..entry(&id(2)) }, "{}").await.unwrap();
        let of = async |test: Option<&str>, kind| {
            let listing = store.list(&Filter { test: test.map(str::to_owned), kind }).await.unwrap();
            listing.entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(of(None, None).await, [id(0), id(1), id(2)]);
        assert_eq!(of(Some("checkout"), None).await, [id(0), id(1)]);
        assert_eq!(of(None, Some(Kind::Run)).await, [id(0), id(2)]);
        assert_eq!(of(Some("checkout"), Some(Kind::Capacity)).await, [id(1)]);
        assert_eq!(of(Some("none"), None).await, [""; 0]);
    });
}

#[test]
fn what_is_no_run_is_named_and_skipped() {
    everywhere(async |store, _| {
        store.put(&entry(&id(0)), "{}").await.unwrap();
        let good = format::encode(&entry(&id(1)), "{}").unwrap();
        let newer = b"{\"schema\":\"loadgrid.dev/stored/v2\"}\n".to_vec();
        let files = [
            (run_path(&id(1)), good[..good.len() - 1].to_vec()),
            (run_path(&id(2)), good.clone()),
            (run_path(&id(3)), newer.clone()),
            (run_path(&id(4)), b"hello".to_vec()),
            (run_path(&id(5)), Vec::new()),
            (run_path(&id(0).to_lowercase()), good),
            ("runs/notes.txt".to_owned(), b"x".to_vec()),
            ("runs/folder/notes.txt".to_owned(), b"x".to_vec()),
        ];
        for (path, bytes) in files {
            store.place.write(&path, bytes).await.unwrap();
        }
        // As read the first time, and as the index has it.
        for _ in 0..2 {
            let listing = all(store).await;
            assert_eq!(ids(&listing), [id(0)]);
            let schema = "loadgrid.dev/stored/v2".to_owned();
            let expected = [
                (run_path(&id(1)), Fault::Torn),
                (run_path(&id(2)), Fault::Misnamed),
                (run_path(&id(3)), Fault::Newer { schema }),
                (run_path(&id(4)), Fault::Foreign),
                (run_path(&id(5)), Fault::Torn),
                (run_path(&id(0).to_lowercase()), Fault::Foreign),
                ("runs/folder/".to_owned(), Fault::Foreign),
                ("runs/notes.txt".to_owned(), Fault::Foreign),
            ];
            let mut expected = expected.map(|(name, fault)| Skipped::new(name, fault));
            expected.sort();
            assert_eq!(listing.skipped, expected);
        }
        for (n, cause) in [(1, Cause::Damaged), (2, Cause::Damaged), (3, Cause::Newer), (4, Cause::Damaged)] {
            let error = store.get(&id(n)).await.unwrap_err();
            assert_eq!(error.cause(), cause, "{error}");
            assert!(error.to_string().starts_with(&run_path(&id(n))), "{error}");
        }
        // What can't be read can still be removed.
        store.remove(&id(1)).await.unwrap();
        assert_eq!(all(store).await.skipped.len(), 7);
    });
}

#[test]
fn a_document_that_was_altered_is_not_handed_out() {
    everywhere(async |store, _| {
        store.put(&entry(&id(0)), "{\"p99\":1}").await.unwrap();
        let mut bytes = store.place.read(&run_path(&id(0))).await.unwrap().unwrap();
        let place = bytes.len() - 3;
        bytes[place] = b'2';
        store.place.write(&run_path(&id(0)), bytes).await.unwrap();
        assert_eq!(store.get(&id(0)).await.unwrap_err().cause(), Cause::Damaged);
        // To see that, a list would have to read everything.
        assert_eq!(ids(&all(store).await), [id(0)]);
    });
}

#[test]
fn the_index_is_never_the_truth() {
    everywhere(async |store, _| {
        // A store behind a server has its index there.
        let Some(index) = store.index.clone() else { return };
        for n in 0..3 {
            store.put(&entry(&id(n)), "{}").await.unwrap();
        }
        let listing = all(store).await;
        let kept = fs::read(&index).unwrap();
        assert_eq!(all(store).await, listing);
        assert_eq!(fs::read(&index).unwrap(), kept);
        for damage in [&kept[..kept.len() / 2], b"", b"\xff\xfe", &kept[1..]] {
            fs::write(&index, damage).unwrap();
            assert_eq!(all(store).await, listing);
            assert_eq!(fs::read(&index).unwrap().len(), kept.len());
        }
        // A file that is written again, as long as before, is read again.
        store.put(&Entry { verdict: "fail".into(), ..entry(&id(1)) }, "{}").await.unwrap();
        assert_eq!(all(store).await.entries[1].verdict, "fail");
        store.remove(&id(1)).await.unwrap();
        assert_eq!(ids(&all(store).await), [id(0), id(2)]);
        assert!(!String::from_utf8_lossy(&fs::read(&index).unwrap()).contains(&id(1)));
        // Where no index can be kept, a list takes longer.
        fs::remove_file(&index).unwrap();
        fs::create_dir(&index).unwrap();
        assert_eq!(ids(&all(store).await), [id(0), id(2)]);
    });
}

#[test]
fn a_list_that_is_answered_by_the_index_opens_no_file() {
    let scratch = Scratch::new();
    let store = in_folder(&scratch);
    block_on(async {
        store.put(&entry(&id(0)), "{}").await.unwrap();
        all(&store).await;
        // Another first line, of the same length and with the same time, in the same file.
        let path = scratch.path().join("store").join(run_path(&id(0)));
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let length = fs::metadata(&path).unwrap().len() as usize;
        fs::write(&path, vec![b'x'; length]).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(ids(&all(&store).await), [id(0)]);
        // What is handed out is read all the same.
        assert_eq!(store.get(&id(0)).await.unwrap_err().cause(), Cause::Damaged);
    });
}

#[test]
fn baselines_are_set_read_and_cleared() {
    everywhere(async |store, _| {
        store.put(&entry(&id(0)), "{}").await.unwrap();
        store.put(&entry(&id(1)), "{}").await.unwrap();
        store.put(&Entry { test: "a/b".into(), ..entry(&id(2)) }, "{}").await.unwrap();
        assert_eq!(store.baseline("checkout").await, Ok(None));
        for n in 0..3 {
            assert_eq!(store.set_baseline(&id(n)).await.unwrap().id, id(n));
        }
        assert_eq!(store.baseline("checkout").await, Ok(Some(id(1))));
        let expected = BTreeMap::from([("checkout".to_owned(), id(1)), ("a/b".to_owned(), id(2))]);
        assert_eq!(store.baselines().await.unwrap(), Baselines { runs: expected, skipped: Vec::new() });
        assert_eq!(store.resolve("checkout@baseline", None).await, Ok(id(1)));
        let error = store.remove(&id(1)).await.unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("is the baseline of 'checkout'"), "{error}");
        assert!(store.clear_baseline("checkout").await.unwrap());
        assert!(!store.clear_baseline("checkout").await.unwrap());
        store.remove(&id(1)).await.unwrap();
        assert_eq!(store.set_baseline(&id(1)).await.unwrap_err().cause(), Cause::Unknown);
    });
}

#[test]
fn retention_keeps_baselines_and_what_it_cannot_read() {
    everywhere(async |store, _| {
        for n in 0..6 {
            let started_at = Timestamp::from_second(1_700_000_000 + n as i64).unwrap();
            store.put(&Entry { started_at, ..entry(&id(n)) }, "{}").await.unwrap();
        }
        store.place.write(&run_path(&id(9)), b"torn".to_vec()).await.unwrap();
        store.set_baseline(&id(1)).await.unwrap();
        let keep = Keep { per_test: std::num::NonZeroUsize::new(2), max_age: None };
        let now = Timestamp::from_second(1_700_000_100).unwrap();
        // Without knowing what has to stay, nothing goes.
        store.place.write("baselines/other.json", b"{\"schema\":\"loadgrid.dev/bas".to_vec()).await.unwrap();
        let error = store.retain(keep, now).await.unwrap_err();
        assert!(error.to_string().starts_with("baselines/other.json is torn"), "{error}");
        assert_eq!(all(store).await.entries.len(), 6);
        store.clear_baseline("other").await.unwrap();
        store.place.write("baselines/notes.txt", b"mine".to_vec()).await.unwrap();
        assert_eq!(store.retain(keep, now).await, Ok(vec![id(0), id(2), id(3)]));
        let listing = all(store).await;
        assert_eq!(ids(&listing), [id(1), id(4), id(5)]);
        assert_eq!(listing.skipped.len(), 1);
        assert_eq!(store.retain(keep, now).await, Ok(Vec::new()));
    });
}

#[test]
fn many_writers_and_readers_do_not_see_halves() {
    everywhere(async |store, _| {
        let put = async |writer: u64| {
            for n in 0..20 {
                let document = format!("\"{}\"", "x".repeat(20_000 + n as usize));
                store.put(&entry(&id(writer * 100 + n)), &document).await.unwrap();
                // The same run, written by everyone.
                store.put(&entry(&id(9999)), &document).await.unwrap();
            }
        };
        let read = async || {
            for _ in 0..30 {
                let listing = all(store).await;
                assert_eq!(listing.skipped, []);
                if let Some(newest) = listing.entries.last() {
                    store.get(&newest.id).await.unwrap();
                }
            }
        };
        tokio::join!(put(0), put(1), put(2), read());
        assert_eq!(all(store).await.entries.len(), 61);
    });
}

#[test]
fn no_other_file_is_reached_by_an_odd_id() {
    everywhere(async |store, _| {
        for odd in ["", "../../etc/passwd", "01JA", "01JA000000000000000000000/", "01JA0000000000000000000U00", "äää"]
        {
            assert_eq!(store.get(odd).await.unwrap_err().cause(), Cause::Usage, "{odd}");
            assert_eq!(store.remove(odd).await.unwrap_err().cause(), Cause::Usage, "{odd}");
            assert_eq!(store.put(&entry(odd), "{}").await.unwrap_err().cause(), Cause::Usage, "{odd}");
        }
    });
}

#[test]
fn a_file_in_place_of_the_folder_is_told_so() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("store"), "x").unwrap();
    let store = in_folder(&scratch);
    block_on(async {
        for error in
            [store.put(&entry(&id(0)), "{}").await.unwrap_err(), store.list(&Filter::default()).await.unwrap_err()]
        {
            assert_eq!(error.cause(), Cause::Usage);
            assert!(error.to_string().contains("a file is where its folder should be"), "{error}");
        }
    });
}

#[test]
fn an_empty_store_is_one_sentence() {
    everywhere(async |store, _| {
        let error = store.resolve("latest", None).await.unwrap_err();
        assert_eq!((error.cause(), error.to_string()), (Cause::Empty, store.empty().to_string()));
        assert_eq!(store.retain(Keep::default(), Timestamp::UNIX_EPOCH).await, Ok(Vec::new()));
    });
}

#[test]
fn what_cannot_be_kept_is_saved_elsewhere() {
    let scratch = Scratch::new();
    let (nowhere, here) = (scratch.path().join("nowhere"), scratch.path().to_owned());
    let path = rescue(&id(0), "{\n}", &[&nowhere, &here]).unwrap();
    assert_eq!(path, here.join(format!("loadgrid-{}.json", id(0))));
    assert_eq!(fs::read(path).unwrap(), b"{\n}");
    assert_eq!(rescue(&id(0), "{}", &[&nowhere]), None);
    assert!(!nowhere.exists());
}
