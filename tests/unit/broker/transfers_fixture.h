/* A directory and the transfers to its users, for the tests of what stands on both. */
#pragma once

#include "broker/transfers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    SLOTS = 3,
    LEGS_MAX = 5,
    SOURCE_INSTANCE = 77,
    KEPT_MAX_BYTES = 1 << 20,
};

static const uint8_t hash_key[16] = {42};

struct fixture {
    struct directory directory;
    struct transfers all;
};

static inline void fixture_init(struct fixture *fixture, size_t kept_max_bytes)
{
    assert_true(directory_init(&fixture->directory, SLOTS, hash_key));
    assert_true(
        transfers_init(&fixture->all, &fixture->directory, SLOTS, LEGS_MAX, kept_max_bytes));
}

static inline void fixture_fini(struct fixture *fixture)
{
    transfers_fini(&fixture->all);
    directory_fini(&fixture->directory);
}

/* A session of `user_id` whose device is named by its id's digit. */
static inline struct session *attach(struct fixture *fixture, uint32_t slot, uint64_t session_id,
                                     const char *user_id)
{
    const uint8_t device[] = {(uint8_t)('0' + session_id), (uint8_t)('0' + slot)};
    struct link_attach record = {
        .session_id = session_id,
        .user_id = slice_from_string(user_id),
        .device_id = slice_of(device, sizeof device),
    };
    struct session *session = directory_add(&fixture->directory, slot, &record);
    assert_non_null(session);
    return session;
}

static inline void leave(struct fixture *fixture, struct session *session)
{
    struct user *user = session->user;
    directory_remove(&fixture->directory, session);
    directory_release_user(&fixture->directory, user);
}

static inline struct user *find_user(const struct fixture *fixture, const char *user_id)
{
    return directory_find_user(&fixture->directory, slice_from_string(user_id));
}

static inline struct transfer_key key_of(uint64_t seq)
{
    return (struct transfer_key){.source_instance_id = SOURCE_INSTANCE, .seq = seq};
}

/* From `source_slot`, with a payload that says "hello". */
static inline struct transfer *open_from(struct fixture *fixture, uint32_t source_slot,
                                         uint64_t seq, struct user *user)
{
    struct transfer_start start = {
        .key = key_of(seq),
        .source_slot = source_slot,
        .user = user,
        .deadline_ms = 5000 + seq,
        .payload = slice_from_string("hello"),
    };
    struct transfer *transfer = transfers_open(&fixture->all, &start);
    assert_non_null(transfer);
    return transfer;
}

static inline struct transfer *open_transfer(struct fixture *fixture, uint64_t seq,
                                             struct user *user)
{
    return open_from(fixture, 0, seq, user);
}

/* One leg, under way. */
static inline struct transfer *send_to(struct fixture *fixture, uint64_t seq,
                                       struct session *session, uint64_t expires_ms)
{
    struct transfer *transfer = open_transfer(fixture, seq, session->user);
    assert_true(transfers_add_leg(&fixture->all, transfer, session));
    transfers_send(&fixture->all, transfer, expires_ms);
    return transfer;
}

static inline void answer(struct fixture *fixture, uint64_t seq, uint32_t slot, uint64_t session_id,
                          enum outcome outcome)
{
    struct transfer *transfer = transfers_find(&fixture->all, key_of(seq));
    assert_non_null(transfer);
    transfers_answer(&fixture->all, transfer, slot, session_id, outcome);
}

/* The first that is done is that one; closes it. */
static inline void expect_done(struct fixture *fixture, uint64_t seq, enum outcome outcome)
{
    struct transfer *transfer = transfers_first_done(&fixture->all);
    assert_non_null(transfer);
    assert_int_equal(transfer->key.seq, seq);
    assert_int_equal(transfer->outcome, outcome);
    assert_int_equal(transfer->state, TRANSFER_DONE);
    transfers_close(&fixture->all, transfer);
}

static inline void expect_none_done(const struct fixture *fixture)
{
    assert_null(transfers_first_done(&fixture->all));
}
