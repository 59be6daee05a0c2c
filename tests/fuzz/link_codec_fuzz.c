/* The link's records. Whatever decodes must be written back as the same bytes, and whatever is
 * written must decode to the same record.
 *
 * The input is read twice: as a batch as it stands; and as a recipe that takes each field of each
 * record from the next bytes (so seeds can be text), then spoils one byte of what came out. */
#include "common/identity.h"
#include "common/link_codec.h"

#include <stdlib.h>

enum {
    BUFFER_MAX_BYTES = 16 * 1024 * 1024,
    /* So that one byte reaches lengths of a state up to the longest. */
    STATE_STRETCH = 2,
    STATE_END = LINK_LEG_STATE_MAX_BYTES + 1,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static struct slice take(struct slice *recipe, size_t count)
{
    struct slice taken = slice_of(recipe->data, count < recipe->len ? count : recipe->len);
    *recipe = slice_drop(*recipe, taken.len);
    return taken;
}

static uint8_t take_u8(struct slice *recipe)
{
    struct slice byte = take(recipe, 1);
    return byte.len == 0 ? 0 : byte.data[0];
}

static uint64_t take_u64(struct slice *recipe)
{
    struct slice bytes = take(recipe, sizeof(uint64_t));
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

static bool take_flag(struct slice *recipe)
{
    return take_u8(recipe) % 2 != 0;
}

/* The flags of a message, from one byte; true: the third one as well, which is not the same in each
 * kind. */
static bool take_flags(struct slice *recipe, bool *is_repeat, bool *is_awaited)
{
    uint8_t flags = take_u8(recipe);
    *is_repeat = (flags & 1) != 0;
    *is_awaited = (flags & 2) != 0;
    return (flags & 4) != 0;
}

static struct slice take_string(struct slice *recipe, size_t min_bytes, size_t max_bytes)
{
    struct slice string = take(recipe, take_u8(recipe) % (max_bytes + 1));
    return string.len >= min_bytes ? string : slice_from_string("x");
}

static struct link_attach take_attach(struct slice *recipe)
{
    return (struct link_attach){
        .session_id = take_u64(recipe),
        .since_ms = take_u64(recipe),
        .was_attached = take_flag(recipe),
        .user_id = take_string(recipe, 1, USER_ID_MAX_BYTES),
        .device_id = take_string(recipe, 0, DEVICE_ID_MAX_BYTES),
    };
}

static struct link_party take_party(struct slice *recipe)
{
    return (struct link_party){
        .user_id = take_string(recipe, 1, USER_ID_MAX_BYTES),
        .device_id = take_string(recipe, 0, DEVICE_ID_MAX_BYTES),
        .reason = take_string(recipe, 0, CALL_REASON_MAX_BYTES),
        .message_hash = take_u64(recipe),
    };
}

static struct link_submit take_submit(struct slice *recipe)
{
    struct link_submit submit = {
        .seq = take_u64(recipe),
        .session_id = take_u64(recipe),
        .deadline_ms = take_u64(recipe),
    };
    bool is_device_scope = take_flags(recipe, &submit.is_repeat, &submit.is_awaited);
    submit.type = (enum call_type)(take_u8(recipe) % CALL_TYPE_COUNT);
    submit.to = take_string(recipe, 1, USER_ID_MAX_BYTES);
    submit.call_id = take_string(recipe, 0, CALL_ID_MAX_BYTES);
    if (submit.call_id.len > 0) {
        submit.party = take_party(recipe);
        submit.party.is_device_scope = is_device_scope;
    }
    submit.payload = take(recipe, take_u8(recipe));
    return submit;
}

static struct link_deliver take_deliver(struct slice *recipe)
{
    struct link_deliver deliver = {
        .source_instance_id = take_u64(recipe),
        .seq = take_u64(recipe),
        .session_id = take_u64(recipe),
        .deadline_ms = take_u64(recipe),
    };
    if (take_flags(recipe, &deliver.is_repeat, &deliver.is_awaited)) {
        deliver.expires_ms = take_u64(recipe);
    }
    deliver.payload = take(recipe, take_u8(recipe));
    return deliver;
}

static enum outcome take_outcome(struct slice *recipe)
{
    return (enum outcome)(take_u8(recipe) % OUTCOME_COUNT);
}

static struct link_record take_record(struct slice *recipe)
{
    struct link_record record = {0};
    record.kind = (enum link_record_kind)(LINK_HELLO +
                                          take_u8(recipe) % (LINK_RECORD_KIND_COUNT - LINK_HELLO));
    switch (record.kind) {
    case LINK_ATTACH:
        record.attach = take_attach(recipe);
        break;
    case LINK_DETACH:
    case LINK_RETIRE:
    case LINK_ATTACHED:
    case LINK_RETIRED:
        record.session.session_id = take_u64(recipe);
        break;
    case LINK_SUBMIT:
        record.submit = take_submit(recipe);
        break;
    case LINK_DELIVERY_OUTCOME:
        record.delivery_outcome.source_instance_id = take_u64(recipe);
        record.delivery_outcome.seq = take_u64(recipe);
        record.delivery_outcome.session_id = take_u64(recipe);
        record.delivery_outcome.outcome = take_outcome(recipe);
        break;
    case LINK_DELIVER:
        record.deliver = take_deliver(recipe);
        break;
    case LINK_SUBMIT_OUTCOME:
        record.submit_outcome.seq = take_u64(recipe);
        record.submit_outcome.outcome = take_outcome(recipe);
        record.submit_outcome.detail = take_string(recipe, 0, CALL_ID_MAX_BYTES);
        break;
    case LINK_EVICT:
        record.evict.session_id = take_u64(recipe);
        record.evict.close_code = (uint16_t)take_u64(recipe);
        break;
    case LINK_LEG:
        record.leg.session_id = take_u64(recipe);
        record.leg.call_id = take_string(recipe, 1, CALL_ID_MAX_BYTES);
        record.leg.state = take(recipe, (size_t)take_u8(recipe) * STATE_STRETCH % STATE_END);
        break;
    case LINK_SYNCED:
    case LINK_READY:
        break;
    default:
        record.greeting.version = (uint16_t)take_u64(recipe);
        record.greeting.instance_id = take_u64(recipe);
        break;
    }
    return record;
}

/* Decodes all of `batch`, as far as it is good; gives the count of its records. */
static size_t check_decoding(struct slice batch, bool must_be_good)
{
    struct buffer again;
    buffer_init(&again, BUFFER_MAX_BYTES);
    size_t count = 0;
    enum parse_result result = PARSE_DONE;
    while (result == PARSE_DONE) {
        struct link_record record;
        struct slice rest = batch;
        result = link_record_decode(&rest, &record);
        if (result == PARSE_DONE) {
            buffer_clear(&again);
            link_record_put(&again, &record);
            require(slice_equal(buffer_slice(&again), slice_of(batch.data, batch.len - rest.len)));
            batch = rest;
            count++;
        }
    }
    require(result == (batch.len == 0 ? PARSE_NEED_MORE : PARSE_BAD));
    require(batch.len == 0 || !must_be_good);
    buffer_fini(&again);
    return count;
}

/* Cuts of any size, put together again, are the batch; none cuts a record. */
static void check_cutting(struct slice batch, size_t max_bytes, size_t record_count)
{
    size_t count = 0;
    while (batch.len > 0) {
        size_t cut = link_batch_cut(batch, max_bytes);
        require(cut > 0 && cut <= batch.len);
        size_t count_here = check_decoding(slice_of(batch.data, cut), true);
        require(cut <= max_bytes || count_here == 1);
        count += count_here;
        batch = slice_drop(batch, cut);
    }
    require(count == record_count);
}

/* A submit made a repeat is what it would have been if it had been written as one. */
static void check_repeat(struct link_record record)
{
    struct buffer made;
    struct buffer written;
    buffer_init(&made, BUFFER_MAX_BYTES);
    buffer_init(&written, BUFFER_MAX_BYTES);
    link_record_put(&made, &record);
    link_submit_set_repeat(made.data + made.begin, buffer_len(&made));
    record.submit.is_repeat = true;
    link_record_put(&written, &record);
    require(slice_equal(buffer_slice(&made), buffer_slice(&written)));
    buffer_fini(&made);
    buffer_fini(&written);
}

static void check_spoiled(struct slice batch, struct slice recipe)
{
    uint8_t *bytes = malloc(batch.len);
    require(bytes != NULL);
    memcpy(bytes, batch.data, batch.len);
    size_t at = take_u64(&recipe) % batch.len;
    bytes[at] = (uint8_t)(bytes[at] ^ take_u8(&recipe));
    (void)check_decoding(slice_of(bytes, batch.len), false);
    (void)check_decoding(slice_of(bytes, at), false);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)check_decoding(slice_of(data, size), false);
    if (size == 0) {
        return 0;
    }
    struct slice recipe = slice_of(data, size);
    size_t max_bytes = take_u8(&recipe);
    struct slice spoiling = recipe;
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    size_t count = 0;
    do {
        struct link_record record = take_record(&recipe);
        link_record_put(&out, &record);
        if (record.kind == LINK_SUBMIT) {
            check_repeat(record);
        }
        count++;
    } while (recipe.len > 0);
    require(!out.failed && check_decoding(buffer_slice(&out), true) == count);
    check_cutting(buffer_slice(&out), max_bytes, count);
    check_spoiled(buffer_slice(&out), spoiling);
    buffer_fini(&out);
    return 0;
}
