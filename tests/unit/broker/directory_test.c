#include "broker/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 3 };

static const uint8_t hash_key[16] = {42};

static struct session *add(struct directory *directory, uint32_t slot, uint64_t session_id,
                           const char *user, const char *device)
{
    struct link_attach attach = {
        .session_id = session_id,
        .since_ms = session_id + 1000,
        .user_id = slice_from_string(user),
        .device_id = slice_from_string(device),
    };
    struct session *session = directory_add(directory, slot, &attach);
    assert_non_null(session);
    return session;
}

/* The session goes, and with its last one the user. */
static void leave(struct directory *directory, struct session *session)
{
    struct user *user = session->user;
    directory_remove(directory, session);
    directory_release_user(directory, user);
}

static struct user *find_bob(const struct directory *directory)
{
    return directory_find_user(directory, slice_from_string("bob"));
}

static void test_what_is_added_is_found(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    assert_null(directory_find_user(&directory, slice_from_string("bob")));
    assert_null(directory_first_of_slot(&directory, 2));
    struct session *session = add(&directory, 2, 7, "bob", "phone");
    assert_int_equal(session->id, 7);
    assert_int_equal(session->slot, 2);
    assert_int_equal(session->since_ms, 1007);
    assert_true(slice_equal_string(directory_user_id(session), "bob"));
    assert_true(slice_equal_string(directory_device_id(session), "phone"));
    assert_ptr_equal(directory_find_session(&directory, 2, 7), session);
    assert_null(directory_find_session(&directory, 1, 7));
    assert_null(directory_find_session(&directory, 2, 8));
    assert_ptr_equal(directory_first_of_slot(&directory, 2), session);
    struct user *user = directory_find_user(&directory, slice_from_string("bob"));
    assert_non_null(user);
    assert_ptr_equal(directory_first_of_user(user), session);
    assert_null(directory_next_of_user(session));
    leave(&directory, session);
    assert_null(directory_find_user(&directory, slice_from_string("bob")));
    assert_null(directory_find_session(&directory, 2, 7));
    assert_null(directory_first_of_slot(&directory, 2));
    assert_int_equal(directory.session_count, 0);
    directory_fini(&directory);
}

static void test_devices_are_told_apart(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    struct slice bob = slice_from_string("bob");
    struct session *none = add(&directory, 0, 1, "bob", "");
    struct session *phone = add(&directory, 1, 1, "bob", "phone");
    struct session *other = add(&directory, 1, 2, "eve", "phone");
    assert_ptr_equal(directory_find_device(&directory, bob, slice_of(NULL, 0)), none);
    assert_ptr_equal(directory_find_device(&directory, bob, slice_from_string("phone")), phone);
    assert_null(directory_find_device(&directory, bob, slice_from_string("pho")));
    assert_null(directory_find_device(&directory, slice_from_string("ann"), slice_of(NULL, 0)));
    leave(&directory, phone);
    assert_null(directory_find_device(&directory, bob, slice_from_string("phone")));
    struct slice eve = slice_from_string("eve");
    assert_ptr_equal(directory_find_device(&directory, eve, slice_from_string("phone")), other);
    directory_fini(&directory); /* with sessions in it: ASan sees a leak */
}

static void test_longest_ids(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    char user[129] = {0};
    char device[65] = {0};
    memset(user, 'u', 128);
    memset(device, 'd', 64);
    struct session *session = add(&directory, 0, UINT64_MAX, user, device);
    assert_true(slice_equal_string(directory_user_id(session), user));
    assert_true(slice_equal_string(directory_device_id(session), device));
    assert_ptr_equal(directory_find_session(&directory, 0, UINT64_MAX), session);
    directory_fini(&directory);
}

static void test_a_user_stays_until_it_is_released(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    struct session *phone = add(&directory, 0, 1, "bob", "phone");
    struct session *laptop = add(&directory, 1, 2, "bob", "laptop");
    struct user *bob = find_bob(&directory);
    leave(&directory, phone);
    assert_ptr_equal(find_bob(&directory), bob); /* it has another session */
    directory_remove(&directory, laptop);
    assert_ptr_equal(find_bob(&directory), bob);
    assert_null(directory_first_of_user(bob));
    assert_null(
        directory_find_device(&directory, slice_from_string("bob"), slice_from_string("laptop")));
    assert_int_equal(directory.session_count, 0);
    directory_release_user(&directory, bob);
    assert_null(find_bob(&directory));
    assert_int_equal(directory.users.count, 0);
    directory_fini(&directory);
}

static void test_a_user_stays_while_messages_to_it_are_under_way(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    struct session *session = add(&directory, 0, 1, "bob", "");
    struct user *bob = find_bob(&directory);
    directory_count_transfer(bob);
    directory_count_transfer(bob);
    leave(&directory, session);
    assert_ptr_equal(find_bob(&directory), bob);
    directory_uncount_transfer(bob);
    directory_release_user(&directory, bob);
    assert_ptr_equal(find_bob(&directory), bob);
    session = add(&directory, 2, 7, "bob", ""); /* back, as the same user */
    assert_ptr_equal(session->user, bob);
    directory_remove(&directory, session);
    directory_uncount_transfer(bob);
    directory_release_user(&directory, bob);
    assert_null(find_bob(&directory));
    directory_fini(&directory);
}

static void test_a_user_stays_while_it_has_a_hold(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    struct session *session = add(&directory, 0, 1, "bob", "");
    struct user *bob = find_bob(&directory);
    bob->hold = (struct hold *)&directory; /* any: the directory only asks whether there is one */
    leave(&directory, session);
    assert_ptr_equal(find_bob(&directory), bob);
    bob->hold = NULL;
    directory_release_user(&directory, bob);
    assert_null(find_bob(&directory));
    directory_fini(&directory);
}

static void test_a_session_that_left_stays_while_a_leg_is_unanswered(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    struct session *session = add(&directory, 1, 7, "bob", "phone");
    struct user *bob = find_bob(&directory);
    directory_count_transfer(bob);
    directory_count_leg(session);
    directory_count_leg(session);
    directory_count_leg(session);
    directory_uncount_leg(session);
    assert_int_equal(session->legs, 2);
    assert_int_equal(bob->departed_legs, 0);
    assert_false(session->has_left);
    leave(&directory, session);
    assert_true(session->has_left);
    assert_int_equal(bob->departed_legs, 2);
    assert_null(directory_find_session(&directory, 1, 7));
    assert_null(directory_first_of_slot(&directory, 1));
    assert_null(directory_first_of_user(bob));
    assert_int_equal(directory.session_count, 0);
    directory_uncount_leg(session);
    assert_int_equal(session->id, 7); /* in memory still: ASan sees it if not */
    assert_ptr_equal(session->user, bob);
    assert_int_equal(bob->departed_legs, 1);
    directory_uncount_leg(session); /* and now no more: ASan sees a leak */
    assert_int_equal(bob->departed_legs, 0);
    directory_uncount_transfer(bob);
    directory_release_user(&directory, bob);
    directory_fini(&directory);
}

static void test_a_session_that_left_is_not_in_its_successor_s_way(void **state)
{
    (void)state;
    struct directory directory;
    assert_true(directory_init(&directory, SLOTS, hash_key));
    struct session *before = add(&directory, 1, 7, "bob", "phone");
    struct user *bob = find_bob(&directory);
    directory_count_leg(before);
    directory_remove(&directory, before);
    struct session *after = add(&directory, 1, 8, "bob", "phone");
    directory_count_leg(after);
    assert_ptr_equal(after->user, bob);
    assert_ptr_equal(directory_first_of_user(bob), after);
    assert_null(directory_next_of_user(after));
    assert_int_equal(bob->departed_legs, 1);
    directory_uncount_leg(after);
    assert_int_equal(bob->departed_legs, 1);
    directory_uncount_leg(before);
    assert_int_equal(bob->departed_legs, 0);
    directory_fini(&directory);
}

enum { MODEL_USERS = 12, MODEL_DEVICES = 4, MODEL_MAX = 64 };

struct model_session {
    struct session *session; /* NULL: free place */
    uint64_t id;
    uint32_t slot;
    int user;
    int device;
};

struct model {
    struct model_session all[MODEL_MAX];
    uint64_t next_id;
};

static struct slice name_of(char prefix, int number, char text[static 16])
{
    int len = snprintf(text, 16, "%c%d", prefix, number);
    return slice_of(text, (size_t)len);
}

static const struct model_session *model_find(const struct model *model,
                                              const struct session *session)
{
    for (int i = 0; i < MODEL_MAX; i++) {
        if (model->all[i].session == session) {
            return &model->all[i];
        }
    }
    return NULL;
}

/* Every list of the directory holds exactly what the model says. */
static void check_user(struct directory *directory, const struct model *model, int user)
{
    char name[16];
    size_t expected = 0;
    for (int i = 0; i < MODEL_MAX; i++) {
        expected += model->all[i].session != NULL && model->all[i].user == user ? 1 : 0;
    }
    const struct user *found = directory_find_user(directory, name_of('u', user, name));
    const struct session *session = found == NULL ? NULL : directory_first_of_user(found);
    size_t count = 0;
    for (; session != NULL; session = directory_next_of_user(session)) {
        assert_int_equal(model_find(model, session)->user, user);
        count++;
    }
    assert_int_equal(count, expected);
    assert_int_equal(found != NULL, expected > 0);
}

static void check_slot(struct directory *directory, const struct model *model, uint32_t slot)
{
    size_t expected = 0;
    for (int i = 0; i < MODEL_MAX; i++) {
        expected += model->all[i].session != NULL && model->all[i].slot == slot ? 1 : 0;
    }
    size_t count = 0;
    const struct session_link *link = directory->slots[slot].first;
    for (; link != NULL; link = link->next) {
        count++;
    }
    assert_int_equal(count, expected);
    assert_int_equal(directory->slots[slot].by_id.count, expected);
}

static void check_all(struct directory *directory, const struct model *model)
{
    size_t count = 0;
    for (int i = 0; i < MODEL_MAX; i++) {
        const struct model_session *entry = &model->all[i];
        if (entry->session == NULL) {
            continue;
        }
        char name[16];
        count++;
        assert_ptr_equal(directory_find_session(directory, entry->slot, entry->id), entry->session);
        assert_true(
            slice_equal(directory_user_id(entry->session), name_of('u', entry->user, name)));
        assert_true(
            slice_equal(directory_device_id(entry->session), name_of('d', entry->device, name)));
    }
    assert_int_equal(directory->session_count, count);
    for (int user = 0; user < MODEL_USERS; user++) {
        check_user(directory, model, user);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        check_slot(directory, model, slot);
    }
}

static void toggle(struct directory *directory, struct model *model, int place)
{
    struct model_session *entry = &model->all[place];
    if (entry->session != NULL) {
        leave(directory, entry->session);
        entry->session = NULL;
        return;
    }
    char user[16];
    char device[16];
    *entry = (struct model_session){
        .id = model->next_id++ / 2, /* the same id on two slots now and then */
        .slot = (uint32_t)(model->next_id % SLOTS),
        .user = (int)(random() % MODEL_USERS),
        .device = (int)(random() % MODEL_DEVICES),
    };
    (void)name_of('u', entry->user, user);
    (void)name_of('d', entry->device, device);
    entry->session = add(directory, entry->slot, entry->id, user, device);
}

static void drop_slot(struct directory *directory, struct model *model, uint32_t slot)
{
    struct session *session = NULL;
    while ((session = directory_first_of_slot(directory, slot)) != NULL) {
        leave(directory, session);
    }
    for (int i = 0; i < MODEL_MAX; i++) {
        if (model->all[i].slot == slot) {
            model->all[i].session = NULL;
        }
    }
}

static void test_random_against_a_model(void **state)
{
    (void)state;
    for (unsigned int seed = 1; seed <= 10; seed++) {
        srandom(seed);
        struct directory directory;
        struct model model = {0};
        assert_true(directory_init(&directory, SLOTS, hash_key));
        for (int step = 0; step < 2000; step++) {
            if (random() % 200 == 0) {
                drop_slot(&directory, &model, (uint32_t)(random() % SLOTS));
            } else {
                toggle(&directory, &model, (int)(random() % MODEL_MAX));
            }
            check_all(&directory, &model);
        }
        directory_fini(&directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_added_is_found),
        cmocka_unit_test(test_devices_are_told_apart),
        cmocka_unit_test(test_longest_ids),
        cmocka_unit_test(test_a_user_stays_until_it_is_released),
        cmocka_unit_test(test_a_user_stays_while_messages_to_it_are_under_way),
        cmocka_unit_test(test_a_user_stays_while_it_has_a_hold),
        cmocka_unit_test(test_a_session_that_left_stays_while_a_leg_is_unanswered),
        cmocka_unit_test(test_a_session_that_left_is_not_in_its_successor_s_way),
        cmocka_unit_test(test_random_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
