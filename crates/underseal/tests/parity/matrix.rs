//! Which tests there are, and the modules they run in.

/// One test in one cell.
macro_rules! test {
    ($suite:ident User User $theme:ident $test:ident) => {
        #[test]
        fn $test() {
            crate::matrix::run!($suite User User $theme $test);
        }
    };
    ($suite:ident $tx:ident $rx:ident $theme:ident $test:ident) => {
        #[test]
        #[ignore = "needs kernel TLS: cargo xtask vm"]
        fn $test() {
            crate::matrix::run!($suite $tx $rx $theme $test);
        }
    };
}

macro_rules! run {
    ($suite:ident $tx:ident $rx:ident $theme:ident $test:ident) => {
        let path = concat!(module_path!(), "::", stringify!($test));
        let suite = underseal_testkit::Suite::$suite;
        let (tx, rx) = (underseal::Engine::$tx, underseal::Engine::$rx);
        crate::case::Case::new(suite, tx, rx, path).run(crate::$theme::$test)
    };
}

/// A list of tests in one cell.
macro_rules! tests {
    ($suite:ident $tx:ident $rx:ident $($theme:ident { $($test:ident)+ })+) => {
        $($(crate::matrix::test!($suite $tx $rx $theme $test);)+)+
    };
}

/// The modules of one suite: one for each pair of engines, sending and receiving. The lists behind
/// the semicolon are for pairs of one kind: what takes long is not worth two more.
macro_rules! pairs {
    ($suite:ident: $($list:ident)+ $(; $($long:ident)+)?) => {
        mod user_user {
            $(crate::matrix::$list!($suite User User);)+
            $($(crate::matrix::$long!($suite User User);)+)?
        }
        mod user_kernel {
            $(crate::matrix::$list!($suite User Kernel);)+
        }
        mod kernel_user {
            $(crate::matrix::$list!($suite Kernel User);)+
        }
        mod kernel_kernel {
            $(crate::matrix::$list!($suite Kernel Kernel);)+
            $($(crate::matrix::$long!($suite Kernel Kernel);)+)?
        }
    };
}

/// What depends on keys, nonces and lengths of records: for each version and suite.
macro_rules! of_each_suite {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            sizes {
                every_size_around_a_record_boundary_is_sent
                every_size_around_a_record_boundary_is_received
                records_are_as_short_as_the_configuration_has_them
            }
            first_data {
                data_behind_the_last_flight_is_delivered_first
            }
            exporters {
                keying_material_is_the_peers
            }
            writing {
                slices_are_sent_in_order
            }
            reading {
                reads_of_any_size_deliver_the_same_bytes
                one_read_takes_several_records
            }
            record_types {
                records_of_other_types_are_sent_between_data
                records_of_other_types_are_received_in_order
            }
            endings {
                close_notify_is_the_end_and_nothing_after_it_is_delivered
                this_side_closes_first_and_reads_on
            }
            bad_records {
                a_bad_tag_poisons_the_stream_for_good
                a_bad_tag_in_a_large_read_comes_after_the_data
                a_record_that_is_too_long_is_refused
                a_record_that_is_too_short_is_refused
                a_repeated_record_is_refused
            }
            odd_records {
                empty_records_are_skipped
                the_longest_record_is_received
            }
            readiness {
                many_small_messages_go_back_and_forth
                big_messages_go_back_and_forth
                both_directions_flow_at_once
            }
            slow_peers {
                a_slow_reader_gets_every_byte
            }
            files {
                ranges_of_a_file_are_sent
            }
            more {
                open_records_are_merged_until_one_is_closed
                a_file_follows_an_open_record
            }
            splices {
                data_is_spliced_into_a_pipe
                a_pipe_is_spliced_into_a_stream
            }
            moving {
                a_stream_goes_on_after_it_was_taken_apart
                both_ends_move_to_other_sockets
            }
            swaps {
                both_ends_swap_engines_while_data_flows
                a_direction_moves_between_two_records
            }
            counters {
                bytes_and_key_updates_are_counted
            }
        }
    };
}

/// What holds whatever the suite: of one suite of each version.
macro_rules! of_each_version {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            cancelled {
                a_dropped_reader_has_lost_nothing
                a_dropped_writer_has_taken_nothing
            }
            writing {
                slices_of_one_write_share_a_record
                an_empty_write_sends_nothing
            }
            reading {
                a_read_of_nothing_reads_nothing
                buffered_and_plain_reads_take_turns
                no_more_of_a_buffer_is_cleared_than_arrives
            }
            record_types {
                reading_stops_at_a_record_of_another_type
                a_record_that_nobody_asked_for_ends_the_connection
                a_record_that_may_not_be_sent_is_refused
            }
            endings {
                a_fin_between_records_is_a_truncation
                a_fin_inside_a_record_is_a_truncation
                a_reset_is_an_error_of_the_socket
                a_reset_ends_a_writer
                a_peer_that_leaves_a_waiting_writer_ends_it
                a_fatal_alert_is_the_end_of_both_directions
                the_peer_closes_first_and_is_written_to
                close_notify_is_sent_once
                a_tokio_shutdown_sends_close_notify_and_a_fin
                a_dropped_stream_sends_no_close_notify
            }
            bad_records {
                another_version_is_refused
                data_inside_of_a_message_is_not_delivered
                a_bad_header_costs_its_peer_no_reply
                a_bad_header_costs_its_peer_no_file_and_no_pipe
                a_bad_header_costs_its_peer_no_open_record
                what_cannot_be_sent_is_no_fault_of_the_peers
            }
            readiness {
                what_was_decrypted_already_is_read_without_waiting
                a_reader_is_woken_when_a_record_is_complete
                a_blocking_stream_over_a_non_blocking_socket_says_would_block
            }
            slow_peers {
                a_slow_reader_of_a_tokio_stream_gets_every_byte
                a_small_receive_buffer_does_not_stop_a_stream
            }
            files {
                files_and_writes_take_turns
                a_source_that_cannot_be_read_costs_no_connection
                a_file_that_cannot_be_spliced_is_read
                a_tokio_stream_sends_a_file_to_a_slow_reader
            }
            more {
                an_open_record_is_not_sent
                a_full_record_is_closed_by_itself
                control_records_close_an_open_record
                an_open_record_is_lost_with_its_stream
                open_records_of_tokio_streams_are_merged
            }
            peek {
                peeking_takes_nothing
                peeking_stops_where_reading_does
                peeking_waits_for_a_record_on_tokio
            }
            splices {
                tickets_at_a_splice_are_taken
                reads_and_splices_take_turns
                a_splice_stops_at_a_record_of_another_type
                a_bad_record_at_a_splice_ends_the_connection
                data_inside_of_a_message_is_not_spliced
                a_full_pipe_is_not_ready
                a_tokio_stream_is_relayed
                what_is_no_pipe_is_not_spliced
                a_peer_that_left_is_not_taken_for_an_empty_pipe
            }
            waiting_pipes {
                what_a_pipe_held_is_sent_although_no_more_comes
                a_pipe_gets_what_it_has_room_for
                a_pipe_that_waits_is_waited_for
                a_splice_has_the_time_of_its_socket_for_its_pipe
                a_pipe_can_be_used_while_its_splice_waits
                a_pipe_is_at_its_end_although_the_socket_is_full
            }
            limits {
                short_buffers_of_a_pipe_are_counted
                a_record_that_is_left_open_is_counted
            }
            counts {
                a_full_socket_is_sent_no_byte_of_a_file_twice
                a_full_socket_is_sent_no_byte_of_a_record_twice
                a_dropped_future_says_how_much_of_a_file_it_took
                a_dropped_future_says_how_much_of_a_record_it_took
                a_failure_leaves_the_count
            }
            moving {
                a_failed_stream_cannot_be_taken_apart
                what_a_stream_knows_moves_along
                a_stream_with_a_program_is_not_taken_apart
                a_kernel_that_cannot_be_asked_is_asserted_to_be_elsewhere
                what_no_reader_was_told_yet_is_not_lost
                an_open_record_moves_along_or_is_to_be_flushed
                a_record_of_another_type_keeps_a_stream_together
                who_redirects_to_a_stream_that_moved_finds_it_closed
            }
            swaps {
                a_tokio_stream_swaps_engines_while_data_flows
                a_move_that_was_asked_for_goes_along
                a_direction_that_the_kernel_holds_stays_there
                a_stream_over_memory_is_not_for_the_kernel
                a_stream_that_left_its_socket_is_on_the_user_engine
            }
            counters {
                options_of_one_engine_are_refused_by_the_other
            }
        }
    };
}

/// What takes a second of waiting each: once for each version and pair.
macro_rules! waiting {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            wakers {
                an_answer_leaves_a_writer_its_wake_up
                an_answer_leaves_a_flush_its_wake_up
                an_answer_leaves_a_shutdown_its_wake_up
                an_answer_goes_out_although_the_writer_was_dropped
                a_redirect_leaves_a_writer_its_wake_up
                a_waiting_reader_is_woken_for_the_first_redirect
                a_failing_read_leaves_a_writer_its_wake_up
                a_bad_header_leaves_a_writer_its_outcome
            }
            bad_records {
                a_bad_header_meanwhile_costs_a_waiting_writer_nothing
                a_bad_header_meanwhile_costs_no_file_and_no_pipe
            }
            lingering {
                a_key_update_costs_its_peer_no_reply
                a_record_that_does_not_open_costs_its_peer_no_reply
                a_record_of_another_version_costs_its_peer_no_reply
                half_a_record_at_the_end_costs_its_peer_no_reply
                a_socket_alone_is_lingered_on
                a_peer_whose_record_does_not_open_is_let_go
            }
            small_buffers {
                a_pipe_that_is_kept_full_passes
                a_pipe_that_is_kept_full_passes_a_socket_that_blocks
                records_that_are_left_open_pass
                open_records_and_pipes_take_turns
                a_file_passes
                a_file_of_a_tokio_stream_passes
            }
        }
    };
}

/// The same of what TLS 1.3 alone has.
macro_rules! of_each_suite_in_tls13 {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            early_data {
                early_data_is_apart_or_sent_again
            }
            odd_records {
                padded_records_are_received_without_their_padding
                a_record_of_padding_alone_is_refused
            }
            key_updates {
                a_few_key_updates_go_both_ways
                a_key_update_of_the_peer_is_answered_if_it_asks
                key_updates_come_by_themselves_before_the_limit
                key_updates_of_tokio_streams_cross
            }
            tickets {
                a_ticket_after_the_handshake_resumes_the_next_connection
            }
        }
    };
}

/// What TLS 1.3 alone has, whatever the suite.
macro_rules! of_tls13 {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            key_updates {
                a_key_update_in_pieces_is_followed
                as_many_key_updates_as_are_allowed_are_followed
                a_storm_of_key_updates_ends_the_connection
            }
            moving {
                a_key_update_that_waits_moves_along_or_is_to_be_flushed
            }
            lingering {
                a_peer_that_updates_its_key_all_the_time_is_let_go
            }
            counts {
                a_full_socket_is_sent_one_key_update
                a_key_update_does_not_wait_for_the_socket
                a_key_update_goes_out_before_the_end
                a_waiting_reader_is_woken_for_a_key_update
            }
            floods {
                key_updates_asked_of_a_full_socket_get_one_answer
                a_peer_that_only_receives_may_update_its_key_as_often
                other_tasks_have_their_turn_in_a_storm
                as_many_tickets_as_a_client_may_ask_for_are_taken
                tickets_hold_a_bounded_amount_of_memory
            }
        }
    };
}

/// The same of what TLS 1.2 has instead.
macro_rules! of_each_suite_in_tls12 {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            key_updates {
                the_limit_is_the_end
            }
            swaps {
                a_sender_that_moves_repeats_no_nonce
            }
        }
    };
}

/// What TLS 1.2 has instead, whatever the suite.
macro_rules! of_tls12 {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            key_updates {
                there_are_no_key_updates
            }
            counts {
                a_key_at_its_limit_takes_nothing_out_of_a_pipe
            }
            floods {
                renegotiation_asked_of_a_full_socket_gets_one_answer
            }
        }
    };
}

/// Programs see plaintext: of one suite of each version.
macro_rules! programs {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            gathering {
                what_was_taken_arrives_however_it_is_written
            }
            programs {
                a_program_sees_every_byte_in_both_directions
                a_write_of_good_and_bad_messages_sends_the_good_ones
                applied_bytes_end_with_a_record
                corked_bytes_are_joined
                a_refusal_at_the_end_is_no_clean_end
                edited_messages_are_sent_as_edited
                files_are_judged_or_passed_ahead
                spliced_bytes_are_judged
                received_messages_that_are_dropped_vanish
                received_messages_are_read_as_edited
                control_records_go_past_programs
                data_from_before_the_program_is_judged
                what_is_held_is_judged_when_the_peer_is_done
                a_program_that_panics_ends_its_direction
                data_is_redirected_to_another_streams_peer
                data_is_redirected_to_another_streams_reader
                a_stream_with_redirected_data_is_not_taken_apart
            }
            own_redirects {
                a_writer_sends_what_it_redirects_to_itself
                a_task_sends_what_it_redirects_to_itself
                a_reader_sends_what_it_redirects_to_its_own_peer
                a_stream_that_ends_sends_what_it_redirects_to_itself
                streams_that_redirect_to_each_other_wait_for_nobody
                a_thread_does_not_wait_for_itself_to_read
                a_stream_that_lost_its_peer_is_redirected_nothing
                a_program_that_panicked_cannot_be_taken_away
            }
            counts {
                a_refusal_behind_good_messages_out_of_a_pipe_is_told_next
            }
            program_ends {
                a_reader_is_told_why_a_program_ended_the_stream
                every_way_of_reading_is_told_why
                a_stream_that_ends_within_a_message_is_an_error
                unread_data_ends_a_stream_too
                a_writer_is_told_why_a_program_ended_the_stream
                dns_messages_of_any_length_pass
            }
        }
    };
}

/// What takes long, in one suite of each version.
macro_rules! once_per_version {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            files {
                a_file_of_64_mib_is_sent
            }
        }
    };
}

/// What takes long and TLS 1.3 alone has.
macro_rules! once_in_tls13 {
    ($suite:ident $tx:ident $rx:ident) => {
        crate::matrix::tests! { $suite $tx $rx
            key_updates {
                a_thousand_key_updates_in_both_directions
            }
        }
    };
}

pub(crate) use {
    of_each_suite, of_each_suite_in_tls12, of_each_suite_in_tls13, of_each_version, of_tls12,
    of_tls13, once_in_tls13, once_per_version, pairs, programs, run, test, tests, waiting,
};
