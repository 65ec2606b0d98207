//! One suite, two hosts: what a broker relies on holds on the real machine and in the simulated world, by the same bodies.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(unreachable_pub, reason = "bodies are for this file alone")]

#[path = "conformance/disk.rs"]
mod disk;
#[path = "conformance/network.rs"]
mod network;

/// Runs each body on both hosts.
macro_rules! on_both_hosts {
    ($($file:ident::$body:ident,)+) => {
        mod simulated {
            $(#[test]
            fn $body() {
                super::in_a_world(super::$file::$body);
            })+
        }

        mod real {
            $(#[test]
            fn $body() {
                super::on_this_machine(super::$file::$body);
            })+
        }
    };
}

on_both_hosts! {
    disk::what_is_written_is_read,
    disk::a_read_past_the_end_is_short,
    disk::a_hole_reads_as_zeros,
    disk::a_file_is_cut_and_extended_with_zeros,
    disk::a_sync_changes_nothing_that_is_seen,
    disk::creating_a_file_twice_is_refused,
    disk::what_is_not_there_is_not_found,
    disk::a_rename_replaces,
    disk::a_removed_file_is_gone_and_can_be_made_again,
    disk::a_list_has_the_names_in_order,
    disk::a_directory_is_removed_with_all_in_it,
    disk::a_lock_is_held_by_one,
    disk::space_is_left,

    network::what_is_written_is_read_in_order,
    network::a_free_port_is_found_and_named,
    network::a_port_in_use_is_refused,
    network::a_dropped_listener_frees_its_port,
    network::another_machines_address_cannot_be_bound,
    network::nobody_listening_is_a_refusal,
    network::an_unknown_name_is_not_found,
    network::dropping_both_halves_ends_the_peers_stream,
    network::shutdown_ends_one_direction_alone,
    network::a_dropped_writer_ends_its_direction,
    network::closing_with_unread_bytes_breaks_the_peers_writer,
    network::writing_to_a_closed_peer_fails_in_the_end,
    network::a_peer_that_never_reads_stops_its_writer,
    network::a_writer_goes_on_when_its_peer_reads_again,
    network::a_silent_peer_keeps_a_reader_waiting,
    network::a_cancelled_read_loses_nothing,
    network::connections_wait_to_be_accepted,
    network::many_parts_are_one_stream,
}

fn in_a_world<F>(body: fn(sim::SimHost) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for seed in 0..5 {
        let outcome = sim::run(sim::Options::new(seed), move |world| async move {
            let node = world.node("machine");
            node.start(move |host| async move {
                body(host).await;
                Ok(())
            });
            while node.is_running() {
                world.sleep(std::time::Duration::from_millis(100)).await;
            }
        });
        outcome.unwrap();
    }
}

fn on_this_machine<F>(body: fn(host::real::RealHost) -> F)
where
    F: Future<Output = ()>,
{
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = host::real::RealHost::new(directory.path()).unwrap();
        body(host).await;
    });
}
