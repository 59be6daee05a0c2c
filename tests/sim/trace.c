#include "tests/sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>

struct event_text {
    const char *name;
    const char *number_names[SIM_EVENT_NUMBERS];
};

static const struct event_text event_texts[SIM_EVENT_KIND_COUNT] = {
#define SIM_EVENT(enumerator, name, a, b, c, d) {name, {a, b, c, d}},
#include "tests/sim/events.def"
#undef SIM_EVENT
};

static void print_event(const struct sim_event *event, FILE *file)
{
    const struct event_text *text = &event_texts[event->kind];
    (void)fprintf(file, "  step=%" PRIu32 " ms=%" PRIu64 " %s", event->step, event->now_ms,
                  text->name);
    for (int i = 0; i < SIM_EVENT_NUMBERS && text->number_names[i] != NULL; i++) {
        (void)fprintf(file, " %s=%" PRIu64, text->number_names[i], event->numbers[i]);
    }
    (void)fprintf(file, "\n");
}

void sim_trace_note(struct sim_trace *trace, enum sim_event_kind kind, uint64_t a, uint64_t b,
                    uint64_t c, uint64_t d)
{
    if (sim_trace_is_broken(trace)) {
        return; /* what follows a broken invariant would only push its causes out */
    }
    struct sim_event *event = &trace->events[trace->event_count % SIM_TRACE_EVENTS];
    *event = (struct sim_event){kind, trace->step, trace->now_ms, {a, b, c, d}};
    trace->event_count++;
    if (trace->is_echoed) {
        print_event(event, stdout);
    }
}

void sim_trace_break(struct sim_trace *trace, const char *format, ...)
{
    if (sim_trace_is_broken(trace)) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(trace->broken, sizeof trace->broken, format, args);
    va_end(args);
    trace->broken_step = trace->step;
}

bool sim_trace_is_broken(const struct sim_trace *trace)
{
    return trace->broken[0] != '\0';
}

void sim_trace_print(const struct sim_trace *trace, FILE *file)
{
    uint64_t first =
        trace->event_count > SIM_TRACE_EVENTS ? trace->event_count - SIM_TRACE_EVENTS : 0;
    for (uint64_t i = first; i < trace->event_count; i++) {
        print_event(&trace->events[i % SIM_TRACE_EVENTS], file);
    }
}
