//! Histograms as a worker sends them: one that is accepted comes back from the wire unchanged, and can be worked with.

use loadgrid_proto::{Histogram, Recorded, v1};
use prost::Message;

/// An encoded `loadgrid.v1.Histogram`.
pub fn histogram_payload(data: &[u8]) {
    let Ok(message) = v1::Histogram::decode(data) else { return };
    let Ok(recorded) = Recorded::decode(&message) else { return };
    let again = Recorded::decode(&recorded.encode());
    assert_eq!(again.as_ref(), Ok(&recorded));

    // What the coordinator does with one.
    let mut sparse = recorded.clone();
    sparse.merge(&recorded);
    let mut dense = Histogram::default();
    dense.merge(&recorded);
    dense.merge(&recorded);
    assert_eq!(dense.to_recorded(), sparse);
    assert_eq!(dense.quantile(0.99), recorded.quantile(0.99));
    assert!(recorded.count_above(0) <= recorded.count());
    if let (Some(mean), Some(deviation)) = (dense.summary().mean(), dense.summary().stddev()) {
        assert!(mean.is_finite() && deviation.is_finite() && deviation >= 0.0, "{mean} ± {deviation}");
    }
}
