/* Unanswered messages: found by seq, in order, within their bound; checked against a naive model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link_codec.h"
#include "gateway/unanswered.h"

#include <stdlib.h>

enum { MAX_BYTES = 1024 * 1024, MODEL_STEPS = 20000, MODEL_SEQS = 30000 };

static struct unanswered_message *add(struct unanswered *all, const char *id, const char *to,
                                      const char *record)
{
    return unanswered_add(all, slice_from_string(id), slice_from_string(to), slice_of(NULL, 0),
                          slice_from_string(record));
}

static void a_message_keeps_its_parts(void **state)
{
    (void)state;
    struct unanswered all;
    assert_true(unanswered_init(&all, MAX_BYTES));
    struct unanswered_message *message = add(&all, "\"7\"", "bob", "the record");
    assert_non_null(message);
    assert_int_equal(message->seq, 1);
    assert_true(slice_equal_string(unanswered_id(message), "\"7\""));
    assert_true(slice_equal_string(unanswered_to(message), "bob"));
    assert_true(slice_equal_string(unanswered_record(message), "the record"));
    assert_false(message->was_sent);
    assert_false(message->is_repeat);
    assert_int_equal(unanswered_call_id(message).len, 0);
    struct unanswered_message *without_id = add(&all, "", "bob", "r");
    assert_int_equal(without_id->seq, 2);
    assert_int_equal(unanswered_id(without_id).len, 0);
    struct unanswered_message *of_call =
        unanswered_add(&all, slice_from_string("1"), slice_from_string("bob"),
                       slice_from_string("c-81"), slice_from_string("the record"));
    assert_true(slice_equal_string(unanswered_id(of_call), "1"));
    assert_true(slice_equal_string(unanswered_to(of_call), "bob"));
    assert_true(slice_equal_string(unanswered_call_id(of_call), "c-81"));
    assert_true(slice_equal_string(unanswered_record(of_call), "the record"));
    unanswered_remove(&all, message);
    unanswered_remove(&all, without_id);
    unanswered_remove(&all, of_call);
    assert_int_equal(all.bytes, 0);
    unanswered_fini(&all);
}

static void the_bound_holds_and_nothing_changes_beyond_it(void **state)
{
    (void)state;
    struct unanswered all;
    assert_true(unanswered_init(&all, 4096));
    size_t count = 0;
    while (add(&all, "1", "bob", "0123456789012345678901234567890123456789") != NULL) {
        count++;
        assert_true(all.bytes <= 4096);
    }
    assert_true(count > 10);
    uint64_t next_seq = all.next_seq;
    assert_null(add(&all, "1", "bob", "0123456789012345678901234567890123456789"));
    assert_int_equal(all.next_seq, next_seq);
    unanswered_remove(&all, unanswered_next(&all, 0));
    assert_non_null(add(&all, "1", "bob", "0123456789012345678901234567890123456789"));
    unanswered_fini(&all);
}

static void an_answered_or_unknown_seq_is_not_found(void **state)
{
    (void)state;
    struct unanswered all;
    assert_true(unanswered_init(&all, MAX_BYTES));
    assert_null(unanswered_find(&all, 0));
    assert_null(unanswered_find(&all, 1));
    struct unanswered_message *first = add(&all, "", "bob", "r");
    struct unanswered_message *second = add(&all, "", "bob", "r");
    unanswered_remove(&all, first);
    assert_null(unanswered_find(&all, 1));
    assert_ptr_equal(unanswered_find(&all, 2), second);
    assert_null(unanswered_find(&all, 3));
    assert_null(unanswered_find(&all, UINT64_MAX));
    unanswered_remove(&all, second);
    assert_null(unanswered_next(&all, 0));
    assert_int_equal(all.bytes, 0);
    unanswered_fini(&all);
}

static void put_submit(struct buffer *record, uint64_t seq)
{
    struct link_record submit = {.kind = LINK_SUBMIT};
    submit.submit.seq = seq;
    submit.submit.session_id = UINT64_MAX;
    submit.submit.deadline_ms = UINT64_MAX - 1;
    submit.submit.type = CALL_TYPE_ANSWER;
    submit.submit.to = slice_from_string("bob");
    submit.submit.call_id = slice_from_string("c1");
    submit.submit.party.user_id = slice_from_string("alice");
    submit.submit.payload = slice_from_string("{}");
    link_record_put(record, &submit);
    assert_false(record->failed);
}

/* Each message's parts but the one bit stay as they were, its neighbours' as well. */
static void a_repeat_says_so_in_its_record_and_changes_nothing_else(void **state)
{
    (void)state;
    struct unanswered all;
    struct buffer record;
    assert_true(unanswered_init(&all, MAX_BYTES));
    buffer_init(&record, MAX_BYTES);
    put_submit(&record, 1);
    struct slice original = buffer_slice(&record);
    struct slice to = slice_from_string("bob");
    struct slice call_id = slice_from_string("c1");
    struct unanswered_message *message =
        unanswered_add(&all, slice_from_string("\"7\""), to, call_id, original);
    struct unanswered_message *other =
        unanswered_add(&all, slice_of(NULL, 0), to, call_id, original);
    message->was_sent = true;
    unanswered_set_repeat(message);
    unanswered_set_repeat(message); /* it may have to be submitted many times */
    assert_true(message->is_repeat && message->was_sent);
    assert_true(slice_equal_string(unanswered_id(message), "\"7\""));
    assert_true(slice_equal_string(unanswered_to(message), "bob"));
    assert_true(slice_equal_string(unanswered_call_id(message), "c1"));
    assert_false(other->is_repeat);
    assert_true(slice_equal(unanswered_record(other), original));
    struct slice batch = unanswered_record(message);
    struct link_record decoded;
    assert_int_equal(link_record_decode(&batch, &decoded), PARSE_DONE);
    assert_int_equal(batch.len, 0);
    assert_true(decoded.submit.is_repeat);
    decoded.submit.is_repeat = false;
    struct buffer again;
    buffer_init(&again, MAX_BYTES);
    link_record_put(&again, &decoded);
    assert_true(slice_equal(buffer_slice(&again), original));
    buffer_fini(&again);
    buffer_fini(&record);
    unanswered_fini(&all);
}

/* The oldest may wait long while thousands behind it come and go: the ring grows, and shrinks. */
static void it_agrees_with_a_naive_model(void **state)
{
    (void)state;
    struct unanswered all;
    assert_true(unanswered_init(&all, 64 * MAX_BYTES));
    static bool is_there[MODEL_SEQS];
    uint64_t newest = 0;
    unsigned int seed = 7;
    for (int step = 0; step < MODEL_STEPS; step++) {
        int dice = rand_r(&seed) % 10;
        if (dice < 6) {
            struct unanswered_message *message = add(&all, "1", "bob", "record");
            newest = message->seq;
            is_there[newest] = true;
        } else if (newest > 0) {
            uint64_t from = (uint64_t)rand_r(&seed) % newest + 1;
            uint64_t expected = from;
            while (expected <= newest && !is_there[expected]) {
                expected++;
            }
            struct unanswered_message *message = unanswered_next(&all, from);
            assert_int_equal(message != NULL ? message->seq : newest + 1, expected);
            if (message != NULL && dice < 9) {
                is_there[message->seq] = false;
                unanswered_remove(&all, message);
                assert_null(unanswered_find(&all, expected));
            }
        }
    }
    assert_true(all.ring_cap > 1024);
    struct unanswered_message *message = NULL;
    uint64_t last_seq = 0;
    while ((message = unanswered_next(&all, 0)) != NULL) {
        assert_true(message->seq > last_seq && is_there[message->seq]);
        last_seq = message->seq;
        unanswered_remove(&all, message);
    }
    assert_int_equal(all.ring_cap, 1024);
    assert_int_equal(all.bytes, 0);
    unanswered_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_keeps_its_parts),
        cmocka_unit_test(the_bound_holds_and_nothing_changes_beyond_it),
        cmocka_unit_test(an_answered_or_unknown_seq_is_not_found),
        cmocka_unit_test(a_repeat_says_so_in_its_record_and_changes_nothing_else),
        cmocka_unit_test(it_agrees_with_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
