//! Where an experiment and its result are kept: by group in the user's state folder, or in a file of the user's own.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Failure, iter8_failure, output};
use crate::iter8::Experiment;
use crate::report;

/// One experiment's place.
pub(super) struct Store {
    path: PathBuf,
    /// A group has a folder of its own.
    folder: Option<PathBuf>,
}

impl Store {
    /// A group's.
    pub(super) fn of(group: &str) -> Result<Store, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if group.is_empty() || group.starts_with('.') || !group.chars().all(plain) {
            return Err(Failure::usage(format!("--group '{group}': write letters, digits, '-', '_' or '.'")));
        }
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
        let state =
            std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
        let state = state.ok_or_else(|| Failure::usage("there is no home folder for results: set XDG_STATE_HOME"))?;
        let folder = state.join("loadgrid/iter8").join(group);
        Ok(Store { path: folder.join("experiment.yaml"), folder: Some(folder) })
    }

    /// A file's.
    pub(super) fn file(path: PathBuf) -> Store {
        Store { path, folder: None }
    }

    pub(super) fn read(&self) -> Result<Experiment, Failure> {
        let name = self.path.display().to_string();
        let text = fs::read_to_string(&self.path)
            .map_err(|error| iter8_failure(&format!("unable to read experiment: {name}: {error}")))?;
        Experiment::read(&name, &text).map_err(|error| iter8_failure(&error))
    }

    pub(super) fn write(&self, experiment: &Experiment) -> Result<(), Failure> {
        if let Some(folder) = &self.folder {
            fs::create_dir_all(folder)
                .map_err(|error| Failure::not_carried_out(format!("{}: {error}", folder.display())))?;
        }
        let text = experiment.write().map_err(Failure::not_carried_out)?;
        output::write_file(&self.path, &text).map_err(Failure::not_carried_out)
    }

    /// Where loadgrid's own report of a load goes, beside the experiment.
    fn native(&self) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.clone(),
            None => self.path.parent().unwrap_or(Path::new("")).join(".loadgrid"),
        }
    }

    /// Keeps loadgrid's own reports of a load.
    pub(super) fn keep(&self, prefix: &str, report: &report::Report) -> Result<PathBuf, Failure> {
        let folder = self.native();
        let failed = |error: String| Failure::not_carried_out(error);
        fs::create_dir_all(&folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
        for (format, end) in [(report::Format::Json, "json"), (report::Format::Html, "html")] {
            let text = report::render(report, format, false).map_err(failed)?;
            output::write_file(&folder.join(format!("{prefix}.{end}")), &text).map_err(failed)?;
        }
        Ok(folder.join(format!("{prefix}.html")))
    }

    /// Forgets what an earlier run of the experiment left.
    pub(super) fn clear(&self) {
        let Ok(entries) = fs::read_dir(self.native()) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|end| end == "json" || end == "html") {
                // What stays is overwritten, or shows an older run's figures with an older date.
                let _ = fs::remove_file(path);
            }
        }
    }

    pub(super) fn delete(&self) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return Ok(()) };
        fs::remove_dir_all(folder)
            .map_err(|error| iter8_failure(&format!("unable to delete experiment: {}: {error}", folder.display())))
    }

    /// Keeps the intervals of a load's percentiles.
    pub(super) fn keep_intervals(&self, prefix: &str, intervals: &[Interval]) -> Result<(), Failure> {
        let text = serde_json::to_string(intervals).map_err(Failure::not_carried_out)?;
        let path = self.native().join(format!("{prefix}.intervals.json"));
        output::write_file(&path, &text).map_err(Failure::not_carried_out)
    }

    /// What Iter8's report has no place for: the intervals of the percentiles, whose objectives were judged at face
    /// value.
    pub(super) fn intervals(&self) -> String {
        let mut paths: Vec<PathBuf> = fs::read_dir(self.native())
            .map_or_else(|_| vec![], |dir| dir.flatten().map(|entry| entry.path()).collect());
        paths.retain(|path| path.to_string_lossy().ends_with(".intervals.json"));
        paths.sort();
        let read = |path: &PathBuf| fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok());
        let found: Vec<Interval> = paths.iter().filter_map(read).flat_map(|list: Vec<Interval>| list).collect();
        let bound = |value: Option<f64>| value.map_or("n too small".to_owned(), |ms| format!("{ms:.2}"));
        let lines: Vec<(String, String)> = found
            .into_iter()
            .map(|(metric, low, high)| (format!("{metric} (msec)"), format!("[{}, {}]", bound(low), bound(high))))
            .collect();
        let Some(width) = lines.iter().map(|(metric, _)| metric.len()).max() else { return String::new() };
        let mut out = String::from("\nConfidence intervals of percentiles (95%, by loadgrid):\n");
        out += "*******************************************************\n\n";
        for (metric, interval) in &lines {
            let _ = writeln!(out, "  {metric:<width$} | {interval}");
        }
        out
    }
}

/// A percentile's metric and the bounds of its interval, ms; `None` where the sample is too small.
pub(super) type Interval = (String, Option<f64>, Option<f64>);
