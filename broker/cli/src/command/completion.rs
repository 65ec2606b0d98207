//! `broker completion`: a shell learns the commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Failure;

/// Print a script that completes commands in a shell.
///
/// For bash:  broker completion bash > ~/.local/share/bash-completion/completions/broker
/// For zsh:   broker completion zsh > "${fpath[1]}/_broker"
/// For fish:  broker completion fish > ~/.config/fish/completions/broker.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completion {
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Arguments::command(), "broker", &mut script);
        super::print(&String::from_utf8_lossy(&script))
    }
}
