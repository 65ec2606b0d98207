//! `trial` without a command, and what needs no run: the lessons, the schema.

use std::path::Path;

use miette::miette;
use reports::View;
use scenarios::catalogue;
use trial::Options;

use super::run::SEED_DEFAULT;
use super::{Exit, Named, print, read_scenario, report_folder, write_report};

/// Where reports go by themselves.
const REPORTS: &str = "runs";

/// Runs the first scenario of the catalogue, shows it, writes a report, and says where and what next.
pub(crate) fn first() -> miette::Result<Exit> {
    let tale = catalogue().first().ok_or_else(|| miette!("the catalogue is empty"))?;
    let Named { scenario, .. } = read_scenario(tale.path)?;
    let seed = scenario.seed.unwrap_or(SEED_DEFAULT);
    let finished = trial::run(&scenario, seed, &Options { source: tale.name().to_owned(), ..Options::default() });
    let page = write_report(&report_folder(Path::new(REPORTS), tale.name(), seed), &finished.run, &finished.history)?;
    print(&reports::terminal(&finished.run, View::Transitions));
    print(&format!("seed      {seed}\nreport    {}\n", page.display()));
    print(&format!(
        "\nnext      trial run {0} --seed 2      another seed\n          \
         trial run {0} --plant ack-before-replication --seeds 20      the same, with a bug that Kafka once had\n          \
         trial lessons      all scenarios\n          \
         trial fuzz --for 1m      random ones\n",
        tale.name()
    ));
    Ok(if finished.is_as_expected() { Exit::AsExpected } else { Exit::Disappointed })
}

pub(crate) fn lessons() -> miette::Result<Exit> {
    let width = catalogue().iter().map(|tale| tale.name().len()).max().unwrap_or(0);
    for tale in catalogue() {
        print(&format!("{:<width$}  {}\n", tale.name(), tale.scenario()?.title));
    }
    Ok(Exit::AsExpected)
}

pub(crate) fn schema() -> miette::Result<Exit> {
    print(&format!("{:#}\n", scenarios::schema()));
    Ok(Exit::AsExpected)
}
