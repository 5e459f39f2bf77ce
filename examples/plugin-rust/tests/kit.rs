//! The kit's cases over this connector, called directly. `zyklus plugin test` runs the same over the built library.

fn main() -> std::process::ExitCode {
    zyklus_connect::testkit::main::<loyalty::Loyalty>("kit.toml")
}
