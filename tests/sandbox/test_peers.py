# SPDX-License-Identifier: MIT
"""A mesh of ten, from seeds: killed, cut apart and moved, it heals, and nobody has two links."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.sandbox.peers import PORT, PeerSandbox

NAMES = [f"Peer {number}" for number in range(10)]
SEEDS = range(3)
PATIENCE = 400.0


class MeshTestCase(SynchronousTestCase):
    """Ten peers, each knowing one other at first."""

    def mesh_of_ten(self, seed: int) -> PeerSandbox:
        mesh = PeerSandbox(seed)
        for name in NAMES:
            mesh.start(name)
        for number, name in enumerate(NAMES[1:]):
            mesh.peer(name).ask(mesh.address(NAMES[mesh.random.randrange(number + 1)]), PORT)
        self.whole(mesh)
        return mesh

    def whole(self, mesh: PeerSandbox) -> None:
        """Everybody is linked with everybody, by one link a pair."""
        mesh.until(lambda: all(len(mesh.peer(name).links) == len(NAMES) - 1 for name in NAMES), PATIENCE)
        mesh.advance(10)
        for number, one in enumerate(NAMES):
            self.assertEqual(mesh.linked(one), set(NAMES) - {one})
            for other in NAMES[number + 1 :]:
                self.assertEqual(mesh.connections(one, other), 1, (one, other))

    def everybody_writes_to_everybody(self, mesh: PeerSandbox, word: str) -> None:
        for one in NAMES:
            for other in NAMES:
                if one != other:
                    mesh.run(mesh.peer(one).send(mesh.peer(other).own_id, f"{word} {one}"))
        for name in NAMES:
            wanted = sorted(f"{word} {other}" for other in NAMES if other != name)
            mesh.until(lambda name=name: len(self.said(mesh, name, word)) >= len(NAMES) - 1, PATIENCE)  # type: ignore[misc]
            self.assertEqual(sorted(self.said(mesh, name, word)), wanted)

    @staticmethod
    def said(mesh: PeerSandbox, name: str, word: str) -> list[str]:
        return [text for text in mesh.texts(name) if text.startswith(word)]

    def test_P6_a_mesh_grows_whole_from_single_addresses(self) -> None:
        for seed in SEEDS:
            self.everybody_writes_to_everybody(self.mesh_of_ten(seed), "halo")

    def test_P6_it_heals_after_kills(self) -> None:
        for seed in SEEDS:
            mesh = self.mesh_of_ten(seed)
            dead = mesh.random.sample(NAMES, 4)
            for name in dead:
                mesh.kill(name)
            mesh.advance(mesh.random.uniform(0, 200))
            for name in dead:
                mesh.start(name)
            self.whole(mesh)
            self.everybody_writes_to_everybody(mesh, "lagi")

    def test_P6_it_heals_after_partitions(self) -> None:
        for seed in SEEDS:
            mesh = self.mesh_of_ten(seed)
            island = mesh.random.sample(NAMES, 4)
            for one in island:
                for other in set(NAMES) - set(island):
                    mesh.network.partition(mesh.address(one), mesh.address(other))
            mesh.advance(mesh.random.uniform(1, 300))
            mesh.network.heal()
            self.whole(mesh)
            self.everybody_writes_to_everybody(mesh, "lagi")

    def test_P6_it_heals_after_moves(self) -> None:
        for seed in SEEDS:
            mesh = self.mesh_of_ten(seed)
            for number, name in enumerate(mesh.random.sample(NAMES, 5)):
                mesh.stop(name) if number % 2 else mesh.kill(name)
                mesh.move(name, f"10.0.{seed + 1}.{number + 100}")
            for name in NAMES:
                if not mesh.runs(name):
                    mesh.start(name)
            self.whole(mesh)
            self.everybody_writes_to_everybody(mesh, "lagi")

    def test_P6_what_is_written_while_it_is_torn_arrives_once(self) -> None:
        for seed in SEEDS:
            mesh = self.mesh_of_ten(seed)
            for name in NAMES[5:]:
                for other in NAMES[:5]:
                    mesh.network.partition(mesh.address(name), mesh.address(other))
            mesh.advance(mesh.random.uniform(0, 60))
            for name in NAMES[1:]:
                mesh.run(mesh.peer(name).send(mesh.peer(NAMES[0]).own_id, f"robek {name}"))
            mesh.advance(mesh.random.uniform(0, 60))
            mesh.network.heal()
            mesh.until(lambda mesh=mesh: len(self.said(mesh, NAMES[0], "robek")) == 9, PATIENCE)  # type: ignore[misc]
            mesh.advance(120)
            self.assertEqual(sorted(self.said(mesh, NAMES[0], "robek")), [f"robek {n}" for n in NAMES[1:]])
