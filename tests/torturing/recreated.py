"""A topic that is deleted and created again while valve is asleep, after its partition's leader has changed: to the client, the new
topic's leader is of an earlier time than the old one's.

    recreated.py --valve BINARY [--logs FOLDER]

Three brokers of its own. All records of the old topic and all of the new one must be stored, once each. Exits with 0 only if fastavro
says so. Needs the services' addresses (tests/stack/).
"""

from confluent_kafka.admin import NewTopic
from unclean import FOLLOWER, LEADER, Trial, main

OLD, NEW = range(100), range(1_000, 1_150)


class Recreated(Trial):
    WANTED = [*OLD, *NEW]

    def run(self):
        self.produce(OLD)
        self.wait("the first batch to be committed", lambda: self.committed() == len(OLD))
        # The leader's epoch rises.
        self.leader.end(15)
        self.wait("the follower to lead", lambda: self.state()[0] == FOLLOWER)
        self.leader.start()
        self.wait("both to be in sync", lambda: sorted(self.state()[1]) == [LEADER, FOLLOWER])
        # The client must have heard of it: it goes on by the new leader.
        self.produce(range(100, 150))
        self.wait("valve to read from the new leader", lambda: self.consumed() == 150)
        self.valve.freeze(None)
        self.cluster.admin.delete_topics([self.topic])[self.topic].result(60)
        self.wait("the topic to be gone", lambda: self.topic not in self.cluster.admin.list_topics(timeout=10).topics)
        self.wait("the topic to be created again", self.create)
        self.wait("the topic to have a leader", lambda: self.state()[0] == FOLLOWER)
        self.produce(NEW)
        self.valve.thaw()
        self.wait("the new topic's records to be read", lambda: self.consumed() >= 150 + len(NEW))
        self.valve.terminate()
        code = self.valve.process.wait(60)
        self.wait("the rest to be committed", lambda: self.committed() == len(NEW))
        return [*self.stored(), *([f"SIGTERM ended with {code}"] if code else [])]

    def create(self):
        """Brokers that haven't heard of the deletion yet say that the topic is there."""
        again = NewTopic(self.topic, 1, replica_assignment=[[FOLLOWER, LEADER]])
        self.cluster.admin.create_topics([again])[self.topic].result(60)
        return True


if __name__ == "__main__":
    main(Recreated, __doc__)
