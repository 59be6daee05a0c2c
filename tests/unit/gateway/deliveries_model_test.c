/* Deliveries against a naive model: a list of all that were ever opened, looked through each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/deliveries.h"

#include <stdlib.h>

enum {
    STEPS = 8000,
    SESSIONS = 8,
    SOURCES = 3,
    REMEMBERED_MAX = 40,
    LIFE_MS = 60,
    LOOK_BACK = 200, /* how many of the newest are compared after each step */
};

struct model_delivery {
    struct delivery_key key;
    uint64_t deadline_ms;
    uint64_t end_bytes;
    size_t over_rank; /* of those that are over, the order in which they came to be so */
    enum outcome outcome;
    bool is_over;
    bool is_forgotten;
};

struct model {
    struct model_delivery deliveries[STEPS];
    size_t count;
    size_t over_rank;
    uint64_t forgotten_until_ms;
    uint64_t now_ms;
};

struct pair {
    struct deliveries all;
    struct session_deliveries *sessions[SESSIONS]; /* on the heap: a new one for each that leaves */
    uint64_t session_ids[SESSIONS];
    uint64_t next_session_id;
    uint64_t next_seq[SOURCES];
    struct model model;
    unsigned int seed;
};

static size_t dice(struct pair *pair, size_t count)
{
    return (size_t)rand_r(&pair->seed) % count;
}

/* The first that was over and is not forgotten; NULL: none. */
static struct model_delivery *model_oldest_over(struct model *model, size_t *count)
{
    struct model_delivery *oldest = NULL;
    *count = 0;
    for (size_t i = 0; i < model->count; i++) {
        struct model_delivery *at = &model->deliveries[i];
        if (at->is_over && !at->is_forgotten) {
            *count += 1;
            oldest = oldest == NULL || at->over_rank < oldest->over_rank ? at : oldest;
        }
    }
    return oldest;
}

static struct model_delivery *model_first_waiting(struct model *model, uint64_t session_id)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->deliveries[i].key.session_id == session_id && !model->deliveries[i].is_over) {
            return &model->deliveries[i];
        }
    }
    return NULL;
}

static bool model_is_ahead(const struct model *model, const struct delivery_key *key)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct model_delivery *at = &model->deliveries[i];
        if (at->key.session_id == key->session_id && !at->is_forgotten &&
            at->key.source_instance_id == key->source_instance_id && at->key.seq > key->seq) {
            return true;
        }
    }
    return false;
}

static void step_open(struct pair *pair, size_t session)
{
    size_t source = dice(pair, SOURCES);
    struct delivery_key key = {source, pair->next_seq[source]++, pair->session_ids[session]};
    uint64_t deadline_ms = pair->model.now_ms + 1 + dice(pair, LIFE_MS);
    struct model_delivery opened = {
        .key = key, .deadline_ms = deadline_ms, .end_bytes = pair->model.count};
    pair->model.deliveries[pair->model.count++] = opened;
    assert_true(deliveries_prepare(&pair->all));
    deliveries_open(&pair->all, &key, deadline_ms, pair->sessions[session], opened.end_bytes);
}

/* False: none waits. */
static bool step_finish(struct pair *pair, size_t session)
{
    struct model *model = &pair->model;
    struct model_delivery *first = model_first_waiting(model, pair->session_ids[session]);
    const struct delivery *real = pair->sessions[session]->first_waiting;
    if (first == NULL) {
        assert_null(real);
        return false;
    }
    assert_non_null(real);
    assert_int_equal(real->end_bytes, first->end_bytes);
    first->is_over = true;
    first->outcome = (enum outcome)dice(pair, OUTCOME_COUNT);
    first->over_rank = model->over_rank++;
    size_t over_count = 0;
    struct model_delivery *oldest = model_oldest_over(model, &over_count);
    if (over_count > REMEMBERED_MAX) {
        oldest->is_forgotten = true;
        if (oldest->deadline_ms > model->forgotten_until_ms) {
            model->forgotten_until_ms = oldest->deadline_ms;
        }
    }
    deliveries_finish_first(&pair->all, pair->sessions[session], first->outcome);
    return true;
}

static void step_replace_session(struct pair *pair, size_t session)
{
    while (pair->sessions[session] != NULL && step_finish(pair, session)) {
    }
    if (pair->sessions[session] != NULL) {
        deliveries_leave(pair->sessions[session]);
        free(pair->sessions[session]);
    }
    pair->sessions[session] = calloc(1, sizeof *pair->sessions[session]);
    assert_non_null(pair->sessions[session]);
    pair->session_ids[session] = pair->next_session_id++;
}

static void step_expire(struct pair *pair)
{
    struct model *model = &pair->model;
    model->now_ms += dice(pair, LIFE_MS / 2);
    size_t over_count = 0;
    struct model_delivery *oldest = NULL;
    while ((oldest = model_oldest_over(model, &over_count)) != NULL &&
           oldest->deadline_ms <= model->now_ms) {
        oldest->is_forgotten = true;
    }
    deliveries_expire(&pair->all, model->now_ms);
}

static void compare_delivery(struct pair *pair, const struct model_delivery *expected)
{
    const struct delivery *found = deliveries_find(&pair->all, &expected->key);
    assert_int_equal(found == NULL, expected->is_forgotten);
    if (found != NULL) {
        assert_int_equal(found->is_over, expected->is_over);
        assert_int_equal(found->deadline_ms, expected->deadline_ms);
        assert_int_equal(found->outcome, expected->outcome);
    }
}

static void compare(struct pair *pair)
{
    const struct model *model = &pair->model;
    size_t first = model->count > LOOK_BACK ? model->count - LOOK_BACK : 0;
    for (size_t i = first; i < model->count; i++) {
        compare_delivery(pair, &model->deliveries[i]);
    }
    uint64_t deadline_ms = model->now_ms + dice(pair, LIFE_MS);
    assert_int_equal(deliveries_may_be_forgotten(&pair->all, deadline_ms),
                     deadline_ms <= model->forgotten_until_ms);
    size_t source = dice(pair, SOURCES);
    size_t session = dice(pair, SESSIONS);
    struct delivery_key key = {source, dice(pair, (size_t)pair->next_seq[source] + 1),
                               pair->session_ids[session]};
    assert_int_equal(deliveries_are_ahead(pair->sessions[session], &key),
                     model_is_ahead(model, &key));
}

static void take_step(struct pair *pair)
{
    size_t session = dice(pair, SESSIONS);
    size_t kind = dice(pair, 100);
    if (kind < 48) {
        step_open(pair, session);
    } else if (kind < 92) {
        (void)step_finish(pair, session);
    } else if (kind < 96) {
        step_replace_session(pair, session);
    } else {
        step_expire(pair);
    }
}

/* Everything is finished, forgotten, and nothing is left. */
static void take_last_steps(struct pair *pair)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        step_replace_session(pair, i);
        free(pair->sessions[i]);
    }
    size_t over_count = 0;
    (void)model_oldest_over(&pair->model, &over_count);
    assert_int_equal(pair->all.over_count, over_count);
    deliveries_expire(&pair->all, UINT64_MAX);
    assert_int_equal(pair->all.by_key.count, 0);
    assert_int_equal(pair->all.over_count, 0);
    assert_null(pair->all.waiting.first);
    assert_null(pair->all.over.first);
}

static void they_agree_with_a_naive_model(void **state)
{
    (void)state;
    static const uint8_t hash_key[16] = {3};
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->seed = 7;
    assert_true(deliveries_init(&pair->all, REMEMBERED_MAX, hash_key));
    for (size_t i = 0; i < SESSIONS; i++) {
        step_replace_session(pair, i);
    }
    for (size_t step = 0; step < STEPS; step++) {
        take_step(pair);
        compare(pair);
    }
    assert_true(pair->model.forgotten_until_ms > 0); /* the bound was met */
    take_last_steps(pair);
    deliveries_fini(&pair->all);
    free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_agree_with_a_naive_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
