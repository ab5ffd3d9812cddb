#!/usr/bin/env python3
"""Writes small stories about bees, one a line, from a seeded grammar.

The stories are made here and nowhere else, so their licence is rbee's own.
A story keeps its heroine, her friend, the place and the errand from beginning
to end, which is what a very small model can learn to do as well.
"""
import argparse
import random

NAMES = "Bibi Mila Tilda Rosa Nora Lulu Hanna Ida Wanda Greta Flora Dora Emmy Pia Zoe Lena Ruby Olive Maya Clara".split()
FRIENDS = {
    "ladybird": "Spot Pepper Rusty".split(), "snail": "Slow Moss Pebble".split(), "ant": "Tiny Crumb Anton".split(),
    "butterfly": "Flutter Silk Felix".split(), "beetle": "Bruno Copper Button".split(), "frog": "Fred Puddle Hops".split(),
    "mouse": "Milo Whisker Nut".split(), "spider": "Sam Thread Webster".split(), "sparrow": "Jack Feather Chip".split(),
}
TRAITS = "small brave curious clever gentle young quiet cheerful patient busy shy kind".split()
PLACES = ["the old garden", "the green meadow", "the orchard on the hill", "the forest by the river", "the village behind the hills",
          "the park in the middle of the town", "the warm valley", "the field behind the church", "the little wood by the lake"]
HOMES = ["a wooden hive under an apple tree", "a hollow oak", "a yellow hive beside the wall", "a little hive near the pond",
         "a big hive with a red roof", "a hive made of straw"]
FLOWERS = "clover lavender sunflowers roses daisies poppies thistles bluebells buttercups primroses lilies".split()
OPENINGS = ["Once upon a time there was {a} {t} bee named {n}.", "Once upon a time, {a} {t} bee named {n} lived in {p}.",
            "Once upon a time, in {p}, there lived {a} {t} bee called {n}.", "One morning {a} {t} bee named {n} woke up early.",
            "There was once {a} {t} bee whose name was {n}.", "In {p} there lived {a} {t} bee named {n}.",
            "Long ago, {a} {t} bee named {n} lived in {p}.", "{n} was {a} {t} bee.", "This is the story of {n}, {a} {t} bee.",
            "One day {a} {t} bee named {n} flew out of the hive.", "A long time ago there was {a} {t} bee called {n}."]
LIVES = ["{n} lived in {h} with her sisters.", "Her home was {h} in {p}.", "{n} lived with a thousand sisters in {h}.",
         "She and her sisters lived in {h}, and they were happy there.", "Every day she worked in {h} in {p}."]
LOVES = ["She loved the smell of {f} more than anything.", "Her favourite flowers were {f}.", "{n} liked to sing while she worked.",
         "{n} liked to sleep in the sun when the work was done.", "She could dance better than any other bee.",
         "{n} knew every flower in {p}.", "{n} had never been far from home.", "She dreamed of seeing the world."]
WEATHER = {
    "sun": ["The sun was shining and the air was warm.", "It was a bright morning and the sky was blue.", "It was the first warm day of spring."],
    "wind": ["A strong wind blew over {p}.", "The wind was so strong that the trees were bending.", "That day the wind came from the north."],
    "rain": ["Dark clouds came over the hill.", "It began to rain, and the drops were as big as bees.", "Rain was falling on {p}."],
}
ASKS = ["\"{n}, we need {g},\" said the queen.", "The queen called her and said, \"Please bring us {g}.\"",
        "\"There is no more {g} in the hive,\" said the queen. \"Can you find some, {n}?\"", "Her sisters told her that the hive needed {g}."]
GOODS = ["honey", "nectar", "pollen", "fresh water", "wax"]
GOES = ["So {n} flew to {q}.", "{n} spread her wings and flew to {q}.", "\"I will do it,\" said {n}, and she flew away to {q}.",
        "{n} said goodbye to her sisters and flew to {q}.", "So she set off at once, over the trees and on to {q}."]
MEETS = ["There she met {b} {k} named {m}.", "On the way she met {b} {k} named {m}.", "Under a leaf sat {b} {k} named {m}.",
         "Next to the path she saw {b} {k}. His name was {m}."]
TROUBLES = {
    "lost": (["\"I am lost,\" said {m}. \"Can you help me find my way home?\"", "\"I do not know the way home,\" said {m}, and he was very sad."],
             ["\"Follow me,\" said {n}. She flew ahead, and {m} came after her until they saw his home.",
              "{n} flew up high and looked around. \"Your home is over there,\" she said, and she showed him the way."]),
    "hungry": (["\"I am so hungry,\" said {m}. \"I have not eaten since yesterday.\"", "{m} was hungry and had nothing to eat."],
               ["{n} gave him a drop of honey, and {m} ate it with a smile.", "\"Here, take some of my honey,\" said {n}. {m} ate and felt better at once."]),
    "stuck": (["{m} had fallen into a deep hole and could not get out.", "\"My foot is stuck under a stone,\" said {m}. \"Please help me!\""],
              ["{n} called her sisters, and together they pulled until {m} was free.", "{n} pushed and pushed, and at last {m} was free."]),
    "lonely": (["\"Nobody ever talks to me,\" said {m}.", "{m} was all alone and did not know how to make friends."],
               ["\"I will be your friend,\" said {n}, and they talked until the sun went down.", "{n} sat down beside him and told him a story about the hive."]),
    "cold": (["{m} was wet and cold and could not move.", "\"I am so cold,\" said {m}."],
             ["{n} beat her wings until the air was warm, and soon {m} was dry.", "{n} covered him with a soft leaf and stayed with him until he was warm."]),
}
THANKS = ["\"Thank you, {n},\" said {m}. \"I will never forget this.\"", "{m} was very happy and thanked her.", "\"You are a good bee,\" said {m}.",
          "\"Now I will help you too,\" said {m}."]
HELPS = ["He showed her a place where the {f} were full of {g}.", "He knew where to find {g}, and he took her there.",
         "Together they found more {g} than she could carry.", "He told her about a secret place full of {f}, and there was {g} enough for everyone."]
RETURNS = ["In the evening {n} came home with the {g}.", "When the sun went down, {n} flew home and brought the {g} to the queen.",
           "{n} carried the {g} home, and all the bees danced.", "Then she flew back to the hive as fast as she could."]
PRAISES = ["\"Well done, {n},\" said the queen.", "The queen was proud of her.", "Her sisters cheered and sang a song for her.",
           "That night there was a big feast in the hive.", "Everyone in the hive wanted to hear what had happened."]
ENDS = ["From that day on {n} and {m} were the best of friends.", "And {n} knew that a friend is worth more than honey.",
        "That night {n} slept well and dreamed of {f}.", "And if you go to {p} in summer, you can still hear her sing.",
        "After that, {n} and {m} met every day in {q}.", "And they all lived happily until the winter came, and after it too.",
        "{n} smiled, closed her eyes and fell asleep.", "She had learned that even a small bee can do great things."]

DANGERS = [("a hungry wasp", "came to steal the honey", "The bees stood close together and buzzed so loudly that the wasp flew away."),
           ("a brown bear", "put his nose into the hive", "{n} stung him on the nose, and the bear ran away into the forest."),
           ("a big storm", "shook the hive", "{n} and her sisters held on to each other until the storm was over."),
           ("a clever fox", "wanted to push the hive over", "{n} told him where to find sweet berries, and the fox went away."),
           ("a cold night", "came much too early", "The bees made a big ball around the queen and kept her warm.")]
DANGER_STARTS = ["But one day {d} {v}.", "One night {d} {v}.", "Then, all of a sudden, {d} {v}."]
FEARS = ["All the bees were afraid.", "\"What shall we do?\" cried the queen.", "Nobody knew what to do, but {n} had an idea.",
         "\"Do not be afraid,\" said {n}. \"I know what to do.\""]
DANCES = ["{n} wanted to learn how to dance, but her legs got mixed up.", "{n} could not fly as fast as the others, and that made her sad.",
          "{n} was afraid of the dark, and she did not tell anyone.", "{n} wanted to make the sweetest honey in {p}.",
          "{n} did not want to work. She wanted to play all day."]
LESSONS = ["Every day she tried a little more.", "An old bee saw her and said, \"Do not give up, little one.\"", "\"Try again,\" said her friend {m}, {b} {k}.",
           "At first it did not work, and at second it did not work either.", "She practised in the morning and in the evening."]
RESULTS = ["And then, one fine day, it worked.", "After a week she was as good as her sisters.", "In the end she was not afraid any more.",
           "And at last she found out how it was done.", "Her sisters watched her and could not believe their eyes."]

REQUESTS = ["Tell me a story.", "Tell me a story about a bee.", "Write a story about a bee.", "Tell me about a bee and her friend.",
            "Write a short story.", "Please tell me a story.", "Tell me a story about the queen.", "Write a story about {n} the bee."]


def article(word):
    return "an" if word[0] in "aeiou" else "a"


def story(r):
    trait, kind = r.choice(TRAITS), r.choice(list(FRIENDS))
    friend_trait = r.choice([t for t in TRAITS if t != trait])
    place, other = r.sample(PLACES, 2)
    words = {"n": r.choice(NAMES), "t": trait, "a": article(trait), "p": place, "q": other, "h": r.choice(HOMES), "f": r.choice(FLOWERS),
             "g": r.choice(GOODS), "k": f"{friend_trait} {kind}", "b": article(friend_trait), "m": r.choice(FRIENDS[kind])}
    say = lambda options: r.choice(options).format(**words)
    maybe = lambda chance, options: [say(options)] if r.random() < chance else []

    lines = [say(OPENINGS)] + maybe(0.8, LIVES) + maybe(0.7, LOVES)
    plot = r.choice(["errand", "errand", "friend", "danger", "lesson"])
    if plot in ("errand", "friend"):
        trouble, rescue = TROUBLES[r.choice(list(TROUBLES))]
        if plot == "errand":
            lines += maybe(0.5, WEATHER[r.choice(list(WEATHER))]) + [say(ASKS), say(GOES), say(MEETS)]
        else:
            lines += maybe(0.6, WEATHER[r.choice(list(WEATHER))]) + [say(GOES[:2] + GOES[4:]), say(MEETS)]
        lines += [say(trouble), say(rescue), say(THANKS)]
        if plot == "errand":
            lines += maybe(0.8, HELPS) + [say(RETURNS)] + maybe(0.7, PRAISES)
        lines += [say(ENDS)]
    elif plot == "danger":
        words["d"], words["v"], answer = r.choice(DANGERS)
        lines += [say(DANGER_STARTS), say(FEARS), answer.format(**words)]
        lines += maybe(0.8, PRAISES) + [say([e for e in ENDS if "{m}" not in e])]
    else:
        lines += [say(DANCES)] + [line.format(**words) for line in r.sample(LESSONS, r.choice([1, 2]))]
        lines += [say(RESULTS)] + maybe(0.6, PRAISES) + [say([e for e in ENDS if "{m}" not in e])]
    text = " ".join(lines)
    if r.random() < 0.2:  # so that a request, and not only a beginning, gets a story
        text = say(REQUESTS) + "\n" + text
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=60000, help="how many to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="-", help="file to write, a newline in a story as \\n; - is standard output")
    options = parser.parse_args()
    r = random.Random(options.seed)
    out = open(1 if options.out == "-" else options.out, "w", encoding="utf-8", closefd=True)
    with out:
        for _ in range(options.stories):
            out.write(story(r).replace("\n", "\\n") + "\n")


if __name__ == "__main__":
    main()
