use std::process::ExitCode;

fn main() -> ExitCode {
    devenv::main()
}
