//! The binary `broker`.

fn main() -> std::process::ExitCode {
    broker::main()
}
