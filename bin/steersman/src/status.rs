//! `steersman status`: what runs and what is wrong.

use anyhow::{Result, bail};
use steersman_cli::status;

use crate::data_dir::DataDir;
use crate::settings::DataDirArgument;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
}

/// Asks the cluster of the data directory.
pub fn main(arguments: &Arguments) -> Result<()> {
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    let Some(pid) = data_dir.running()? else {
        bail!("no cluster is running on {}; start one with: steersman up", data_dir.path().display());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let state = runtime.block_on(async {
        let client = steersman_client::from_kubeconfig(&data_dir.admin_kubeconfig()).await?;
        anyhow::Ok(status::observe(&client).await?)
    })?;
    println!("steersman {} is running (process {pid})", env!("CARGO_PKG_VERSION"));
    print!("{}", status::report(&state));
    Ok(())
}
