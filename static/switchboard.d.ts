// Types of switchboard.js.
//
//     import Switchboard = require('./switchboard.js');   CommonJS, Node
//     import './switchboard.js';                          a module: globalThis.Switchboard
//     /// <reference path="switchboard.d.ts" />           a script: the global Switchboard, whose
//     type Call = import('./switchboard.js').Call;        types have these names

export = Switchboard;

declare global {
    namespace globalThis {
        var Switchboard: SwitchboardConstructor;
    }
}

type SwitchboardConstructor = typeof Switchboard;

/** Events by name: an EventTarget whose events have a `detail`. */
declare class Emitter<Events> {
    /** Calls `fn` with the detail of each such event; returns how to stop that. */
    on<Name extends keyof Events>(name: Name, fn: (detail: Events[Name]) => void): () => void;
    addEventListener<Name extends keyof Events>(
        name: Name,
        listener: (event: Event & { detail: Events[Name] }) => void,
        options?: boolean | AddEventListenerOptions,
    ): void;
    removeEventListener<Name extends keyof Events>(
        name: Name,
        listener: (event: Event & { detail: Events[Name] }) => void,
        options?: boolean | EventListenerOptions,
    ): void;
}

/** A user's connection to the server and the calls over it. */
declare class Switchboard extends Emitter<Switchboard.PhoneEvents> {
    /** Throws a SwitchboardError ('bad-name', 'bad-url', 'unsupported') for what cannot be. */
    constructor(options: Switchboard.Options);

    readonly userId: string;
    readonly deviceId: string;
    readonly state: Switchboard.PhoneState;
    /** The detail of the latest event `state`. */
    readonly stateDetail: Switchboard.PhoneStateDetail;
    /** The server's name for the present connection; null between two. */
    readonly sessionId: string | null;
    /** The calls that are not over, by id. */
    readonly calls: ReadonlyMap<string, Switchboard.Call>;

    /** Connects, and stays connected; while waiting to try again: tries now. */
    connect(): void;

    /** Ends all calls and the connection. connect() begins anew. */
    disconnect(): void;

    /**
     * Calls somebody. The call-start goes out at once, or once there is a connection; permission
     * for camera and microphone is asked for meanwhile. What goes wrong is in the call's `result`.
     */
    call(userId: string, options?: Switchboard.CallOptions): Switchboard.Call;

    /**
     * Sends a message, now or once there is a connection; its `id` is assigned here. Resolves with
     * the server's ack, rejects with a SwitchboardError: the server's code, or 'unconfirmed' (it
     * may or may not have been delivered), 'not-sent' (no connection in time), 'queue-full',
     * 'message-too-big', 'stopped'.
     */
    send(message: Switchboard.OutgoingMessage): Promise<Switchboard.Ack>;

    /** Cameras, microphones and loudspeakers; labels are empty until one has been used. */
    static devices(): Promise<Switchboard.Device[]>;

    /** The WebSocket subprotocol. */
    static readonly PROTOCOL: 'switchboard.v1';
}

declare namespace Switchboard {
    interface Options {
        /**
         * ws://host:port, wss://, http://, https:// or host:port; '' is the page's own origin.
         * Without a path it is /ws.
         */
        url?: string;
        /** 1 to 128 bytes. */
        userId: string;
        /** At most 64 bytes. A second connection of the same user and device replaces the first. */
        deviceId?: string;
        /** 'none': signaling alone, as is the rule where there is no WebRTC. Default 'webrtc'. */
        media?: 'webrtc' | 'none';
        /** STUN and TURN servers. Default none, which does within one network. */
        iceServers?: RTCIceServer[];

        /** Time for a message to get its outcome, reconnects included. Default 15000. */
        outcomeTimeoutMs?: number;
        /** Messages without an outcome; further ones are refused. Default 1000. */
        queueMax?: number;
        /** How long a call rings if the server does not say. Default 60000. */
        ringMs?: number;
        /**
         * The length of an outage after which it asks whether the calls are still there: less than
         * the server's --call-grace-ms. Default 8000.
         */
        verifyAfterMs?: number;
        /** Default 10000. */
        connectTimeoutMs?: number;
        /** The most to wait before the first further attempt; doubles each time. Default 250. */
        backoffFirstMs?: number;
        /** Default 15000. */
        backoffMaxMs?: number;

        /* What is taken from the world around, for Node and for tests. */
        WebSocket?: new (url: string, protocol: string) => any;
        RTCPeerConnection?: new (configuration: any) => any;
        MediaStream?: new () => any;
        getUserMedia?: (constraints: any) => Promise<any>;
        random?: () => number;
        now?: () => number;
        setTimeout?: (fn: () => void, ms: number) => any;
        clearTimeout?: (handle: any) => void;
    }

    /**
     * offline: not wanted yet; waiting: to try again; stopped: told to stay away (45xx), a mistake
     * of this library, or disconnect().
     */
    type PhoneState = 'offline' | 'connecting' | 'online' | 'waiting' | 'stopped';

    interface PhoneEvents {
        state: PhoneStateDetail;
        /** Somebody calls: accept() or reject() it. */
        incoming: Call;
        /**
         * Any new call, outgoing and incoming, and those that a glare has us accept by ourselves.
         */
        call: Call;
        /** An incoming call is over that nobody answered or rejected, here or elsewhere. */
        missed: Call;
        /** What went over the wire, repeats included. */
        message: { direction: 'in' | 'out'; message: any; text: string };
        /**
         * What nobody waits for: an error of the server without an id, a mistake of this library.
         */
        error: Error;
    }

    interface PhoneStateDetail {
        state: PhoneState;
        previous: PhoneState;
        /** Of the connection that ended. */
        closeCode?: number;
        /** The server's, or 'disconnected', 'bad-url', 'network-changed', 'silent', 'no answer'. */
        reason?: string;
        /** The same for a person. */
        sentence?: string;
        /** In state 'waiting': when it tries again, in ms since 1970. */
        retryAt?: number;
    }

    interface CallOptions {
        /** Whether to send sound, or how. Default true. */
        audio?: boolean | MediaTrackConstraints;
        /** Whether to send a picture, or how. Default true; for accept(): what the caller chose. */
        video?: boolean | MediaTrackConstraints;
        /** For the other side's `call.data`. */
        data?: unknown;
    }

    /**
     * outgoing: calling, ringing, connecting, connected; incoming: ringing, connecting, connected;
     * reconnecting: the path of sound and picture broke, or without media the connection did.
     */
    type CallState = 'calling' | 'ringing' | 'connecting' | 'connected' | 'reconnecting' | 'ended';

    /** How a call ended; other codes of the server's errors are possible as well. */
    type CallResult =
        /** It was answered, and one of the two hung up. */
        | 'completed'
        /** The caller gave up. */
        | 'cancelled'
        /**
         * The callee did not want it: `reason` says 'declined', 'busy' or what reject() was given.
         */
        | 'rejected'
        /** Outgoing: it rang out. */
        | 'no-answer'
        /** Incoming: it rang out. */
        | 'missed'
        | 'answered-elsewhere'
        | 'rejected-elsewhere'
        /** One side was away for too long. */
        | 'connection-lost'
        /** Outgoing: the last device that rang was away for too long. */
        | 'unreachable'
        /** The other one called us: that call stands, see `successor`. */
        | 'glare'
        | 'user-offline'
        | 'too-many-calls'
        | 'overloaded'
        | 'unavailable'
        | 'unconfirmed'
        | 'no-such-call'
        | 'not-in-call'
        | 'bad-state'
        | 'call-exists'
        /** There was no connection in time. */
        | 'not-sent'
        /** The phone was told to stay away; 'replaced': by a newer connection. */
        | 'stopped'
        | 'replaced'
        /** There is WebRTC, but it did not start. */
        | 'media-failed'
        | (string & {});

    class Call extends Emitter<CallEvents> {
        private constructor();

        readonly id: string;
        /** The userId of the other side. */
        readonly peer: string;
        /** Its device; null until known. */
        readonly peerDevice: string | null;
        readonly direction: 'outgoing' | 'incoming';
        readonly state: CallState;
        /** What the caller chose. */
        readonly audio: boolean;
        readonly video: boolean;
        readonly data: any;

        /** Times, in ms since 1970. */
        readonly startedAt: number;
        readonly answeredAt: number | null;
        readonly endedAt: number | null;
        /** Until when it rings; of an outgoing call our own estimate. */
        readonly expiresAt: number;
        readonly isAnswered: boolean;

        /** Null until it has ended. */
        readonly result: CallResult | null;
        readonly reason: string | null;
        readonly endedBy: 'self' | 'peer' | 'server' | null;
        readonly error: SwitchboardError | null;
        /**
         * Of a call with result 'glare': the call that stands; and there, the one that gave way.
         */
        readonly successor: Call | null;
        readonly predecessor: Call | null;

        readonly localStream: MediaStream | null;
        readonly remoteStream: MediaStream | null;
        /** Whether the other side sends a picture, or is about to. */
        readonly remoteVideo: boolean;
        readonly muted: boolean;
        readonly isCameraOff: boolean;

        /** Accepts an incoming call. Resolves, when the server decided, with whether we have it. */
        accept(options?: Omit<CallOptions, 'data'>): Promise<boolean>;
        /**
         * Rejects an incoming call ('declined'); `deviceOnly`: it rings on at our other devices.
         */
        reject(reason?: string, options?: { deviceOnly?: boolean }): void;
        /** Gives up an outgoing call that has not been answered. */
        cancel(reason?: string): void;
        /** Ends a call that has been answered. */
        hangUp(reason?: string): void;
        /** Whichever of these three fits. Each of them does that where it does not fit itself. */
        end(reason?: string): void;

        /** Silences our microphone, or opens it again. */
        mute(isMuted?: boolean): void;
        /** Switches our camera off (and its light), or on, also where there was none. */
        cameraOff(isOff?: boolean): Promise<boolean>;
        /** Takes another one; false: it could not, and the one before stays if it can. */
        setDevice(kind: 'audioinput' | 'videoinput', deviceId: string): Promise<boolean>;
    }

    interface CallEvents {
        state: { state: CallState; previous: CallState };
        /** Our own picture and sound: there, or changed. */
        local: MediaStream;
        /** The other side's: there, or changed, also when its picture starts or stops. */
        remote: MediaStream;
        trouble: Trouble;
        ended: { result: CallResult; reason: string | null; endedBy: 'self' | 'peer' | 'server' };
    }

    interface Trouble {
        /**
         * camera, microphone, camera-and-microphone: refused, busy, missing or unplugged;
         * no-device: there is neither; insecure: the page is not from https or localhost;
         * unsupported: the browser cannot; no-path: nothing gets through to the other side, still
         * trying. The call goes on.
         */
        kind:
            | 'camera'
            | 'microphone'
            | 'camera-and-microphone'
            | 'no-device'
            | 'insecure'
            | 'unsupported'
            | 'no-path';
        /** The name of the exception, such as 'NotAllowedError'; 'ended' of a device unplugged. */
        name: string;
        /** For a person. */
        sentence: string;
    }

    interface Device {
        kind: 'audioinput' | 'videoinput' | 'audiooutput';
        deviceId: string;
        label: string;
    }

    interface OutgoingMessage {
        type: string;
        to: string;
        callId?: string;
        [member: string]: unknown;
    }

    interface Ack {
        type: 'ack';
        id: string;
        to: string;
    }

    class SwitchboardError extends Error {
        /** For programs: a code of the server's, or one of this library's. */
        code: string;
        /** Whether it is the server's. */
        fromServer?: true;
        to?: string;
        id?: string;
        callId?: string;
        /** With 'bad-state': how the call is. */
        state?: 'calling' | 'ringing' | 'answered';
        closeCode?: number;
    }
}
