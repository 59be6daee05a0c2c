/* Calls, as the rest of the router sees them; nobody else includes this. */
#pragma once

#include "broker/router_internal.h"

/* A message with a callId. */
bool router_on_call_submit(struct router *router, const struct router_arrival *arrival);
/* A gateway says that one of its sessions has a part in a call: restores what a broker before knew.
 */
bool router_on_leg(struct router *router, const struct router_arrival *arrival);

/* The session is in the directory from now on; or has left it. */
void router_calls_attached(struct router *router, struct session *session, uint64_t now_ms);
void router_calls_departed(struct router *router, struct user *user, struct slice device_id,
                           uint64_t now_ms);
/* What waits for the user's devices that are back is sent on, if none can come back any more. */
void router_calls_settle(struct router *router, struct user *user, uint64_t now_ms);
void router_calls_settle_leg(struct router *router, struct call_leg *leg, uint64_t now_ms);

/* Hands a transfer that belongs to a call to whom it concerns. */
void router_calls_deliver(struct router *router, struct transfer *transfer, uint64_t now_ms);
/* One of its deliveries came back from that session, which has gone. */
void router_calls_came_back(struct router *router, struct transfer *transfer, uint32_t slot,
                            uint64_t session_id, uint64_t now_ms);
/* When a device that gets it may ring no longer; 0: it is not a call-start. */
uint64_t router_calls_expiry(const struct transfer *transfer);
/* Where a transfer that is done, and that nobody has got, waits. NULL: nowhere. */
struct hold *router_calls_hold_of(struct router *router, struct transfer *transfer,
                                  uint64_t now_ms);
/* A transfer is done and will not wait: what it means for its call, and for a device that it
 * missed. May better its outcome. True: it is to be said again. */
bool router_calls_done(struct router *router, struct transfer *transfer, uint64_t now_ms);
/* The same for that device, when it is back. */
void router_calls_copy_to(struct router *router, struct transfer *transfer, struct call_leg *leg,
                          uint64_t now_ms);

/* Rings that are over, devices that did not come back, calls to be forgotten. */
void router_calls_tick(struct router *router, uint64_t now_ms);
bool router_calls_need_tick(const struct router *router);

/* ---- shared by router_calls.c, router_call_moves.c and router_call_devices.c ---- */

/* Tells the gateway of the leg's device what it is to keep. */
void router_call_tell_leg(struct router *router, const struct call_leg *leg);
/* Whoever is not there yet is waited for as for one that has just gone. */
void router_call_await_device(struct router *router, struct call_leg *leg, uint64_t now_ms);
/* The call goes on without it. */
void router_call_drop_leg(struct router *router, struct call_leg *leg);
/* A transfer of the broker's own, for that leg. NULL: too much is kept. */
struct transfer *router_call_open_own(struct router *router, struct call_leg *leg,
                                      struct slice payload, uint64_t deadline_ms);
/* What the server says to one device, in the name of the user at the other end. */
void router_call_notify(struct router *router, struct call_leg *leg, enum call_type type,
                        const char *reason, uint64_t now_ms);
/* To all of the callee's devices but one; `spared` NULL: to all. */
void router_call_notify_callees(struct router *router, struct call *call,
                                const struct call_leg *spared, enum call_type type,
                                const char *reason, uint64_t now_ms);
/* The call is answered by that device; the others are told. */
void router_call_answer(struct router *router, struct call_leg *winner, uint64_t now_ms);
/* The call is over, and recorded. Who is to be told of it has been. */
void router_call_end(struct router *router, struct call *call, enum call_result result,
                     struct slice reason, uint64_t now_ms);
