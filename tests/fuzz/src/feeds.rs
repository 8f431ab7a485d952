//! Tables from CSV and JSON lines: one that is accepted is a table, and an error names the file.

use std::path::{Path, PathBuf};

use loadgrid::outside::feeds::{Source, VALUES_BYTES_MAX, read};
use loadgrid_worker::client::feed::Order;

pub fn csv_feed(data: &[u8]) {
    feed(data, Source::Csv);
}

pub fn jsonl_feed(data: &[u8]) {
    feed(data, Source::Jsonl);
}

fn feed(data: &[u8], source: fn(PathBuf) -> Source) {
    let path = scratch();
    std::fs::write(&path, data).expect("a file in memory");
    let read = read("users", source(path.clone()), Order::Random);
    std::fs::remove_file(&path).expect("it is there");
    let feed = match read {
        Ok(feed) => feed,
        Err(error) => {
            assert!(error.starts_with(&path.display().to_string()), "{error}");
            return;
        }
    };
    let columns = feed.columns.len();
    assert!(feed.rows() > 0 && feed.rows() as usize * columns == feed.values.len(), "{feed:?}");
    assert!(feed.values.iter().map(|value| value.len() as u64).sum::<u64>() <= VALUES_BYTES_MAX);
    for (place, column) in feed.columns.iter().enumerate() {
        let named = column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        assert!(named && !column.is_empty() && !feed.columns[..place].contains(column), "the column {column:?}");
    }
    for number in [0, 1, u64::MAX] {
        feed.value(columns - 1, number, 7);
    }
}

/// A file of this thread alone, in memory where there is such a place.
fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("loadgrid-feed-{}-{:?}", std::process::id(), std::thread::current().id()))
}
