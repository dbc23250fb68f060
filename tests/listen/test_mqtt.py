"""Events to a real broker on the loopback: Home Assistant's messages, a broker that dies and comes back."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from edgesea.listen import listen

paho = pytest.importorskip("paho.mqtt.client")
PATIENCE_S = 60


def until(condition) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(held)


class Broker:
    """Debian's mosquitto on a port of its own."""

    def __init__(self, folder):
        self.program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if self.program is None:
            pytest.skip("mosquitto is not installed")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.configuration = folder / "mosquitto.conf"
        self.configuration.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "-c", self.configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert until(self._listens)

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class Subscriber:
    """Everything that the broker is told, again after each of its deaths."""

    def __init__(self, port):
        self.messages: list[tuple[str, str, bool]] = []
        self._lock = threading.Lock()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="test", clean_session=False)
        self.connected = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.connected.set()
        self.client.on_disconnect = lambda *_: self.connected.clear()
        self.client.on_message = self._message
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()

    def _message(self, client, userdata, message):
        with self._lock:
            self.messages.append((message.topic, message.payload.decode(), message.retain))

    def of(self, topic) -> list[str]:
        with self._lock:
            return [payload for name, payload, _ in self.messages if name == topic]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path):
    held = Broker(tmp_path)
    held.start()
    yield held
    held.kill()


@pytest.fixture
def subscriber(broker):
    held = Subscriber(broker.port)
    assert held.connected.wait(PATIENCE_S)
    yield held
    held.close()


def event(number: int) -> dict:
    return {"event": "dog", "confidence": 0.9, "samples": number}


def samples(subscriber) -> list[int]:
    return [json.loads(each)["samples"] for each in subscriber.of("edgesea/the_kitchen/event")]


def test_home_assistant_is_told_what_it_needs(broker, subscriber):
    mqtt = listen.Mqtt(f"mqtt://127.0.0.1:{broker.port}", "The kitchen", ["dog", "siren"])
    mqtt.say(event(1))
    assert until(lambda: samples(subscriber) == [1])
    (config,) = subscriber.of("homeassistant/event/edgesea_the_kitchen/event/config")
    told = json.loads(config)
    assert told["event_types"] == ["dog", "siren", "unknown"]
    assert told["state_topic"] == "edgesea/the_kitchen/event"
    assert told["availability_topic"] == "edgesea/the_kitchen/status"
    said = json.loads(subscriber.of("edgesea/the_kitchen/event")[0])
    assert said["event_type"] == said["event"] == "dog"
    assert len(subscriber.of("homeassistant/sensor/edgesea_the_kitchen/last/config")) == 1
    assert subscriber.of("edgesea/the_kitchen/status")[-1] == "online"
    mqtt.close()
    assert until(lambda: subscriber.of("edgesea/the_kitchen/status")[-1] == "offline")


def test_no_event_is_lost_that_had_room_while_the_broker_was_dead(broker, subscriber):
    mqtt = listen.Mqtt(f"mqtt://127.0.0.1:{broker.port}", "The kitchen", ["dog"], room=20)
    mqtt.say(event(0))
    assert until(lambda: samples(subscriber) == [0])
    assert until(lambda: mqtt.waiting == 0)
    broker.kill()
    assert until(lambda: not subscriber.connected.is_set())
    for number in range(1, 31):
        mqtt.say(event(number))
    assert (mqtt.waiting, mqtt.dropped) == (20, 10)
    broker.start()
    assert until(lambda: mqtt.waiting == 0)
    # The subscriber may have come back later than what was sent at once: all is with the broker, or here.
    assert subscriber.connected.wait(PATIENCE_S)
    mqtt.say(event(99))
    assert until(lambda: 99 in samples(subscriber))
    assert mqtt.dropped == 10
    mqtt.close()


def test_each_event_arrives_where_the_subscriber_was_there_all_along(broker, subscriber):
    mqtt = listen.Mqtt(f"mqtt://127.0.0.1:{broker.port}/home/ears", "The kitchen", ["dog"], room=200)
    for number in range(150):
        mqtt.say(event(number))
    assert until(lambda: len(subscriber.of("home/ears/event")) == 150)
    assert [json.loads(each)["samples"] for each in subscriber.of("home/ears/event")] == list(range(150))
    mqtt.close()


def test_confirmations_that_come_while_events_are_said_stop_nothing(broker):
    """paho tells of an arrival with the lock that its `publish` takes."""
    mqtt = listen.Mqtt(f"mqtt://127.0.0.1:{broker.port}", "The kitchen", ["dog"], room=100_000)
    assert until(mqtt._client.is_connected)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [
        threading.Thread(target=lambda: [mqtt.say(event(number)) for number in range(4000)], daemon=True)
        for _ in range(2)
    ]
    try:
        for thread in threads:
            thread.start()
        assert until(lambda: not any(thread.is_alive() for thread in threads))
        assert until(lambda: mqtt.waiting == 0)
    finally:
        sys.setswitchinterval(interval)
    assert mqtt.dropped == 0
    mqtt.close()


def test_a_broker_that_was_never_there_costs_nothing_but_events(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mqtt = listen.Mqtt(f"mqtt://127.0.0.1:{port}", "x", ["dog"], room=3)
    for number in range(5):
        mqtt.say(event(number))
    assert (mqtt.waiting, mqtt.dropped) == (3, 2)
    mqtt.close(patience_s=0.1)
