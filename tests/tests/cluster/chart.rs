//! The chart, by the real helm against the real API server: `tests/chart/run` has the matrix.

use std::path::Path;
use std::process::Command;

use loadgrid_tests::cluster::Cluster;

#[test]
fn the_chart_installs_upgrades_and_refuses_what_contradicts_itself() {
    // Its own server: it makes definitions and namespaces that others must not meet.
    let Some(cluster) = Cluster::start() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("chart/run");
    let program = |name: &str| cluster.command::<&str>(name, &cluster.kubeconfig(), &[]).get_program().to_owned();
    let done = Command::new(script).arg(program("helm")).arg(program("kubectl")).arg(cluster.kubeconfig()).output();
    let done = done.expect("tests/chart/run");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}
