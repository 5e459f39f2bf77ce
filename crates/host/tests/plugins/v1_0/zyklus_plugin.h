/* The C ABI of Zyklus connectors, version 1.0. ABI.md beside this folder has the rules; in short:
 *
 *   - bytes are lent for the duration of a call: copy what you keep, free nothing you did not allocate;
 *   - every call() gets exactly one complete(), from any thread, also after cancel();
 *   - read a field beyond those of 1.0 only where `size` says that it is there;
 *   - bodies are UTF-8 JSON.
 */
#ifndef ZYKLUS_PLUGIN_H
#define ZYKLUS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZYKLUS_PLUGIN_MAGIC 0x5A594B4Cu /* "ZYKL" */
#define ZYKLUS_ABI_MAJOR 1
#define ZYKLUS_ABI_MINOR 0

typedef struct zy_bytes {
  const uint8_t *ptr; /* may be NULL when len is 0 */
  size_t len;
} zy_bytes;

/* How a call or a request ended. */
enum {
  ZY_OK = 0,        /* body: the answer */
  ZY_ERR = 1,       /* body: an error, {"kind": …, "message": …} */
  ZY_PANIC = 2,     /* body: a text; a defect in whoever answers */
  ZY_CANCELLED = 3  /* body: ignored */
};

enum { ZY_ERROR = 1, ZY_WARN = 2, ZY_INFO = 3, ZY_DEBUG = 4, ZY_TRACE = 5 };

typedef void (*zy_reply_fn)(void *user, int32_t status, zy_bytes body);

/* What the host offers. Lives as long as the process. */
typedef struct zy_host {
  uint32_t size; /* of this table, in bytes */
  uint32_t abi_minor;
  void *ctx; /* the first argument of every function below */
  /* Answers a call. Exactly once per id, from any thread, also inside call(). */
  void (*complete)(void *ctx, uint64_t call, int32_t status, zy_bytes body);
  /* One line for the host's log; call is 0 outside a call. fields_json is an object, or empty. */
  void (*log)(void *ctx, uint64_t call, uint32_t level, zy_bytes target, zy_bytes message,
              zy_bytes fields_json);
  /* Asks the host for something: "http", "token", "now". The reply comes exactly once, from any thread,
   * also inside request(). */
  void (*request)(void *ctx, uint64_t call, zy_bytes service, zy_bytes body, zy_reply_fn reply,
                  void *user);
} zy_host;

/* What a plugin is. Lives as long as the process. */
typedef struct zy_plugin {
  uint32_t magic;     /* ZYKLUS_PLUGIN_MAGIC */
  uint16_t abi_major; /* ZYKLUS_ABI_MAJOR */
  uint16_t abi_minor; /* ZYKLUS_ABI_MINOR */
  uint32_t size;      /* sizeof(zy_plugin) */
  uint32_t flags;     /* 0 */
  zy_bytes (*manifest)(void);           /* JSON with the configuration's schema; lives for ever */
  void *(*create)(const zy_host *host); /* no I/O; what can fail belongs into the op "open"; NULL = failed */
  void (*call)(void *self, uint64_t call, zy_bytes op, zy_bytes body);
  void (*cancel)(void *self, uint64_t call); /* complete() must still follow */
  void (*destroy)(void *self);               /* only when no call is open */
} zy_plugin;

/* The only symbol a plugin exports. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const zy_plugin *zyklus_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif
