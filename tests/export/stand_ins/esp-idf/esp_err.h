/* Stand-in for ESP-IDF's esp_err.h. */
#pragma once

typedef int esp_err_t;
#define ESP_OK 0

void esp_error_check_failed(esp_err_t error);
#define ESP_ERROR_CHECK(call) \
    do { \
        const esp_err_t error_ = (call); \
        if (error_ != ESP_OK) { \
            esp_error_check_failed(error_); \
        } \
    } while (0)
