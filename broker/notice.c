#include "broker/notice.h"

#include "common/json_string.h"

void notice_put(struct buffer *out, const struct notice *notice)
{
    buffer_put_string(out, "{\"type\":\"");
    buffer_put_string(out, call_type_name(notice->type));
    buffer_put_string(out, "\",\"from\":");
    json_put_string(out, notice->from);
    buffer_put_string(out, ",\"callId\":");
    json_put_string(out, notice->call_id);
    buffer_put_string(out, ",\"reason\":\"");
    buffer_put_string(out, notice->reason);
    buffer_put_string(out, "\",\"server\":true}");
}
